using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv;

/// <summary>A guess for a masked token.</summary>
/// <param name="Token">The entry of the vocabulary.</param>
/// <param name="Id">Its id.</param>
/// <param name="Score">Its probability.</param>
public readonly record struct TokenPrediction(string Token, int Id, float Score);

public sealed partial class TextEncoder
{
    /// <summary>The most likely tokens in place of each mask of a text, best first: one list a mask.</summary>
    /// <param name="text">A text with at least one mask symbol, as [MASK].</param>
    /// <param name="top">How many guesses a mask.</param>
    /// <exception cref="ArgumentException">The text has no mask, or one beyond what the model reads.</exception>
    /// <exception cref="InvalidOperationException">The model was saved without a masked language model's head.</exception>
    public IReadOnlyList<IReadOnlyList<TokenPrediction>> FillMask(string text, int top = 5)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (top < 1) throw new ArgumentException($"At least 1 guess must be asked for, not {top}.", nameof(top));
        var head = _model.Heads.MaskedLanguage ?? throw NoHead("fill masks", "BertForMaskedLM or BertForPreTraining");
        int mask = Tokenizer.MaskId ?? throw new InvalidOperationException($"{Directory}: the vocabulary has no mask token {BadFile.Quote(Tokenizer.MaskToken)}.");
        Encoding encoding = Encode(text);
        int[] masked = [.. Enumerable.Range(0, encoding.Length).Where(i => encoding.Ids[i] == mask)];
        string symbol = Tokenizer.Vocabulary.TokenOf(mask);
        int written = text.AsSpan().Count(symbol);
        if (masked.Length == 0 || (written > masked.Length && !encoding.Overflowing.IsEmpty))
            throw new ArgumentException(written > 0
                ? $"{symbol} stands beyond the {MaxTokens} tokens that this model reads; shorten the text {(Tokenizer.TruncationSide == Side.Left ? "after" : "before")} it."
                : $"The text has no {symbol}; write it where a word is to be guessed.", nameof(text));

        var batch = new TokenBatch();
        batch.Add(encoding.Ids.AsSpan());
        float[] hidden = HiddenStates(batch);
        var rows = new float[masked.Length * Dimensions]; // only the masked rows need logits
        for (int i = 0; i < masked.Length; i++) hidden.AsSpan(masked[i] * Dimensions, Dimensions).CopyTo(rows.AsSpan(i * Dimensions));
        float[] scores = head.Apply(rows, _model.Encoder.Threads);
        Softmax.Forward(scores, Config.VocabularySize, scores);
        CheckFinite(scores, batch.Ids);
        return [.. masked.Select((_, i) => Best(scores.AsSpan(i * Config.VocabularySize, Config.VocabularySize), top))];
    }

    /// <summary>The most likely tokens at one place of a traced batch; the model must have the head.</summary>
    internal IReadOnlyList<TokenPrediction> Predict(AttentionTrace trace, int token, int top)
    {
        float[] scores = _model.Heads.MaskedLanguage!.Apply(trace.HiddenRows.Slice(token * Dimensions, Dimensions), _model.Encoder.Threads);
        Softmax.Forward(scores, Config.VocabularySize, scores);
        CheckFinite(scores, trace.IdsOf(0));
        return Best(scores, top);
    }

    private List<TokenPrediction> Best(ReadOnlySpan<float> scores, int top)
    {
        var best = new PriorityQueue<int, (float Score, int)>();
        for (int id = 0; id < scores.Length; id++)
        {
            // A model may have more rows than its vocabulary has entries.
            if (!Tokenizer.Vocabulary.TryGet(id, out _)) continue;
            if (best.Count < top) best.Enqueue(id, (scores[id], -id));
            else best.EnqueueDequeue(id, (scores[id], -id));
        }
        var predictions = new List<TokenPrediction>(best.Count);
        while (best.TryDequeue(out int id, out (float Score, int) priority)) predictions.Add(new TokenPrediction(Tokenizer.Vocabulary.TokenOf(id), id, priority.Score));
        predictions.Reverse();
        return predictions;
    }
}
