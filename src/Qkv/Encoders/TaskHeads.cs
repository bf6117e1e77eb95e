using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>What the map called <c>classifier</c> is for; only the architecture in config.json tells.</summary>
internal enum ClassifierKind
{
    /// <summary>The architecture does not say.</summary>
    Unknown,

    /// <summary>One answer a sequence.</summary>
    Sequence,

    /// <summary>One answer a token.</summary>
    Token,

    /// <summary>One number a sequence; N sequences are the choices of one question.</summary>
    MultipleChoice,
}

/// <summary>
/// The task heads that a model has; what it has not is null. Rows are hidden states (n, C), first-token rows where the formula
/// says [CLS].
/// <code>
/// pooled        = tanh(Wp·[CLS] + bp)                            (B, C)
/// prediction    = E·LayerNorm(activation(Wt·x + bt)) + b         (n, V)  E the word embeddings where the decoder is tied
/// relationship  = Wr·pooled + br                                 (B, 2)
/// classifier    = Wc·pooled + bc (sequence), Wc·x + bc (token)   (B or n, labels)
/// span          = Wq·x + bq                                      (n, 2)  start, end
/// </code>
/// </summary>
internal sealed unsafe class TaskHeads
{
    public Linear? Pooler { get; init; }

    public MaskedLanguageHead? MaskedLanguage { get; init; }

    public Linear? NextSentence { get; init; }

    public Linear? Classifier { get; init; }

    public ClassifierKind ClassifierKind { get; init; }

    public Linear? Span { get; init; }

    /// <summary>The tasks that this model was trained for, in words.</summary>
    public IEnumerable<string> Names
    {
        get
        {
            if (Pooler != null) yield return "pooler";
            if (MaskedLanguage != null) yield return "masked language model";
            if (NextSentence != null) yield return "next sentence";
            if (Classifier != null)
                yield return ClassifierKind switch
                {
                    ClassifierKind.Sequence => "sequence classification",
                    ClassifierKind.Token => "token classification",
                    ClassifierKind.MultipleChoice => "multiple choice",
                    _ => "classifier of unknown purpose",
                };
            if (Span != null) yield return "question answering";
        }
    }

    public static ClassifierKind KindOf(EncoderConfig config)
    {
        bool Is(string suffix) => config.Architectures.Any(name => name.EndsWith(suffix, StringComparison.Ordinal));
        return Is("ForSequenceClassification") ? ClassifierKind.Sequence
            : Is("ForTokenClassification") ? ClassifierKind.Token
            : Is("ForMultipleChoice") ? ClassifierKind.MultipleChoice
            : ClassifierKind.Unknown;
    }

    /// <summary>Takes all parameters again after a step has changed them.</summary>
    public void Refresh()
    {
        foreach (Linear? head in (Linear?[])[Pooler, NextSentence, Classifier, Span]) head?.Refresh();
        MaskedLanguage?.Refresh();
    }

    /// <summary>pooled = tanh(Wp·x + bp): (n, C) → (n, C)</summary>
    public float[] Pool(ReadOnlySpan<float> first, int threads) => Apply(Pooler!, first, threads, Activation.Tanh);

    /// <summary>The classifier's answers for whole sequences, by their first tokens: (B, C) → (B, labels)</summary>
    public float[] Classify(ReadOnlySpan<float> first, int threads) => Apply(Classifier!, Pool(first, threads), threads);

    /// <summary>The hidden state of each sequence's first token: B sequences → (B, C)</summary>
    public static float[] FirstTokens(Encoder encoder, TokenBatch batch)
    {
        int c = encoder.Config.HiddenSize;
        var first = new float[batch.Sequences * c];
        fixed (float* output = first)
        {
            var receiver = new PoolingReceiver(Pooling.Cls, normalize: false, c, c, output, encoder.Threads);
            encoder.Forward(batch, ref receiver);
        }
        return first;
    }

    /// <summary>What a head says of every token: T tokens → (T, outputs)</summary>
    public static float[] ApplyToTokens(Linear head, Encoder encoder, TokenBatch batch)
    {
        var logits = new float[(long)batch.Tokens * head.Outputs];
        fixed (float* y = logits)
        {
            var receiver = new LogitsReceiver(head, y, encoder.Threads);
            encoder.Forward(batch, ref receiver);
        }
        return logits;
    }

    /// <summary>The answer of a row of logits: where the largest is, the first of equals.</summary>
    public static int IndexOfLargest(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
            if (logits[i] > logits[best]) best = i;
        return best;
    }

    /// <summary>Any of the linear heads: (n, C) → (n, outputs)</summary>
    public static float[] Apply(Linear head, ReadOnlySpan<float> rows, int threads, Activation activation = Activation.Linear)
    {
        int count = rows.Length / head.Inputs;
        var logits = new float[(long)count * head.Outputs];
        fixed (float* x = rows, y = logits) head.Forward(x, count, y, threads, activation);
        return logits;
    }

    private struct LogitsReceiver(Linear head, float* logits, int threads) : IReceiver
    {
        private readonly float* _logits = logits; // (T of the whole batch, outputs)

        public readonly void Receive(in TokenSlice tokens, float* hidden) => head.Forward(hidden, tokens.Tokens, _logits + tokens.Origin * head.Outputs, threads);
    }
}

/// <summary>prediction = E·LayerNorm(activation(Wt·x + bt)) + b: for every row, a logit for every entry of the vocabulary.</summary>
internal sealed unsafe class MaskedLanguageHead(Linear transform, Activation activation, Normalization normalization, Linear decoder)
{
    /// <summary>(n, C) → (n, V)</summary>
    public float[] Apply(ReadOnlySpan<float> rows, int threads)
    {
        int count = rows.Length / transform.Inputs;
        var transformed = new float[rows.Length];
        var logits = new float[(long)count * decoder.Outputs];
        transform.Forward(rows, transformed, activation);
        fixed (float* x = transformed, y = logits)
        {
            normalization.Forward(x, count, x, threads);
            decoder.Forward(x, count, y, threads);
        }
        return logits;
    }

    /// <summary>
    /// Cross entropy of the predictions for some rows, and its gradient. Forward: pre = Wt·x + bt; act = activation(pre);
    /// normalized = LayerNorm(act); logits = E·normalized + b. Backward: the same lines upward, every parameter's gradient added up.
    /// </summary>
    /// <param name="rows">Hidden states of the masked tokens (n, C).</param>
    /// <param name="targets">The entry that stood there (n).</param>
    /// <param name="scale">What each row's loss counts.</param>
    /// <param name="drows">Gradient of the rows (n, C); empty to only measure.</param>
    /// <param name="threads">Threads of the team that may work.</param>
    public MaskedLanguageLoss Loss(ReadOnlySpan<float> rows, ReadOnlySpan<int> targets, float scale, Span<float> drows, int threads)
    {
        int count = targets.Length, c = transform.Inputs, v = decoder.Outputs;
        using var memory = new Rented(5L * count * c + (long)count * v + 2L * count);
        float* pre = memory.Pointer, act = pre + count * c, normalized = act + count * c, first = normalized + count * c, second = first + count * c;
        float* logits = second + count * c, moments = logits + (nint)count * v;
        fixed (float* x = rows, dx = drows)
        fixed (int* t = targets)
        {
            transform.Forward(x, count, pre, threads);
            ActivationFunctions.Apply(activation, pre, act, (nint)count * c, threads);
            normalization.Forward(act, count, normalized, threads);
            decoder.Forward(normalized, count, logits, threads);
            (double loss, int correct) = CrossEntropy.Forward(logits, count, v, t, scale, threads);
            if (!drows.IsEmpty)
            {
                decoder.Backward(normalized, count, logits, first, add: false, threads);
                normalization.Backward(act, count, first, second, moments, threads);
                ActivationFunctions.Backward(activation, pre, second, second, (nint)count * c, threads);
                transform.Backward(x, count, second, dx, add: false, threads);
            }
            return new MaskedLanguageLoss(loss, correct);
        }
    }

    /// <summary>Takes all parameters again after a step has changed them.</summary>
    public void Refresh()
    {
        transform.Refresh();
        normalization.Refresh();
        decoder.Refresh();
    }
}

/// <param name="Sum">Σ of the rows' cross entropies, unscaled.</param>
/// <param name="Correct">Rows whose largest logit is the target's.</param>
internal readonly record struct MaskedLanguageLoss(double Sum, int Correct);
