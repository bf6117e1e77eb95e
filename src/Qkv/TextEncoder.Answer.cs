using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv;

/// <summary>The part of a text that answers a question.</summary>
/// <param name="Text">The answer.</param>
/// <param name="Score">The probability of its start times that of its end.</param>
/// <param name="Start">Where it starts, in UTF-16 units of the context.</param>
/// <param name="End">Where it ends, exclusive.</param>
public readonly record struct Answer(string Text, float Score, int Start, int End);

public sealed partial class TextEncoder
{
    // As Hugging Face's question-answering pipeline: windows share 128 tokens, an answer has at most 15.
    private const int WindowStride = 128;
    private const int LongestAnswer = 15;

    /// <summary>
    /// The most likely answer to a question in a context. A context longer than the model reads is read in overlapping windows, to its end.
    /// </summary>
    /// <exception cref="ArgumentException">The question leaves no room for the context.</exception>
    /// <exception cref="InvalidOperationException">The model was saved without a question-answering head.</exception>
    public Answer Answer(string question, string context)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(question);
        ArgumentException.ThrowIfNullOrWhiteSpace(context);
        Linear head = _model.Heads.Span ?? throw NoHead("answer questions", "BertForQuestionAnswering");
        int room = MaxTokens - Tokenizer.Encode(question, "").Length;
        if (room < 1) throw new ArgumentException($"The question alone fills the {MaxTokens} tokens that this model reads; shorten it.", nameof(question));
        Encoding first = Tokenizer.Encode(question, context, Tokenizer.Cut(MaxTokens) with
        {
            Truncation = TruncationStrategy.OnlySecond,
            Stride = Math.Min(WindowStride, room / 2),
            WholeText = true,
        });
        Encoding[] windows = [first, .. first.Overflowing];
        var batch = new TokenBatch();
        foreach (Encoding window in windows) batch.Add(window.Ids.AsSpan(), window.TypeIds.AsSpan());
        float[] logits = TaskHeads.ApplyToTokens(head, _model.Encoder, batch); // (T, 2)
        Answer best = default;
        for (int i = 0; i < windows.Length; i++)
        {
            ReadOnlySpan<float> rows = logits.AsSpan(2 * batch.Starts[i], 2 * batch.Length(i));
            CheckFinite(rows, batch.IdsOf(i));
            Answer candidate = BestSpan(windows[i], rows, context);
            if (candidate.Score > best.Score || best.Text == null) best = candidate;
        }
        return best;
    }

    private static Answer BestSpan(Encoding window, ReadOnlySpan<float> logits, string context) // logits (L, 2)
    {
        float[] start = Probabilities(window, logits, 0), end = Probabilities(window, logits, 1);
        (int Start, int End) best = (0, 0);
        float score = -1f;
        for (int i = 0; i < window.Length; i++)
        {
            if (window.SequenceIds[i] != 1) continue;
            for (int j = i; j < Math.Min(i + LongestAnswer, window.Length) && window.SequenceIds[j] == 1; j++)
                if (start[i] * end[j] > score) (best, score) = ((i, j), start[i] * end[j]);
        }
        if (score < 0f) return new Answer("", 0f, 0, 0);
        // Whole words: an answer does not start or end inside one.
        (int from, int to) = best;
        while (from > 0 && window.SequenceIds[from - 1] == 1 && window.WordIds[from - 1] == window.WordIds[from]) from--;
        while (to + 1 < window.Length && window.SequenceIds[to + 1] == 1 && window.WordIds[to + 1] == window.WordIds[to]) to++;
        int first = window.Offsets[from].Start, last = window.Offsets[to].End;
        return new Answer(context[first..last], score, first, last);
    }

    /// <summary>Softmax over the context and [CLS], which stands for "no answer".</summary>
    private static float[] Probabilities(Encoding window, ReadOnlySpan<float> logits, int column)
    {
        var numbers = new float[window.Length];
        for (int token = 0; token < window.Length; token++)
            numbers[token] = window.SequenceIds[token] == 1 || token == 0 ? logits[2 * token + column] : float.NegativeInfinity;
        Softmax.Forward(numbers, numbers.Length, numbers);
        return numbers;
    }
}
