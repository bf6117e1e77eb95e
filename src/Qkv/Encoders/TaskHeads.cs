using Qkv.Kernels;
using Qkv.Parameters;

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

    /// <summary>pooled = tanh(Wp·x + bp), in place of x's rows: (n, C) → (n, C)</summary>
    public float[] Pool(ReadOnlySpan<float> first)
    {
        var pooled = new float[first.Length];
        Pooler!.Forward(first, pooled, Activation.Tanh);
        return pooled;
    }

    /// <summary>Any of the linear heads: (n, C) → (n, outputs)</summary>
    public static float[] Apply(Linear head, ReadOnlySpan<float> rows)
    {
        var logits = new float[rows.Length / head.Inputs * head.Outputs];
        head.Forward(rows, logits);
        return logits;
    }
}

/// <summary>prediction = E·LayerNorm(activation(Wt·x + bt)) + b: for every row, a logit for every entry of the vocabulary.</summary>
internal sealed unsafe class MaskedLanguageHead(Linear transform, Activation activation, Normalization normalization, Linear decoder)
{
    public Linear Transform => transform;

    public Linear Decoder => decoder;

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
}
