using Qkv.Kernels;

namespace Qkv.Training;

/// <summary>What the answers of a sequence classifier are compared with.</summary>
internal enum SequenceLossKind
{
    /// <summary>One label a sequence: cross entropy over the labels.</summary>
    SingleLabel,

    /// <summary>Any number of labels a sequence: binary cross entropy of each, σ(x) against 0 or 1.</summary>
    MultiLabel,

    /// <summary>Numbers: the mean of (x − y)².</summary>
    Regression,
}

/// <summary>
/// Losses of whole sequences, and their gradients in place of the logits:
/// <code>
/// single label: mean of −log softmax(x)[y]                 dx = (softmax(x) − onehot(y)) / B
/// multi-label:  mean of −y·log σ(x) − (1 − y)·log σ(−x)     dx = (σ(x) − y) / (B·N)
/// regression:   mean of (x − y)²                            dx = 2·(x − y) / (B·N)
/// </code>
/// </summary>
internal static unsafe class SequenceLoss
{
    /// <param name="kind">Which loss.</param>
    /// <param name="logits">(B, N); becomes the gradient.</param>
    /// <param name="targets">(B) label numbers for a single label, else (B, N).</param>
    /// <param name="smoothing">Label smoothing ε, for a single label.</param>
    /// <param name="threads">Threads of the team that may work.</param>
    public static double Forward(SequenceLossKind kind, Span<float> logits, ReadOnlySpan<float> targets, float smoothing, int threads)
    {
        if (kind == SequenceLossKind.SingleLabel)
        {
            int[] labels = new int[targets.Length];
            for (int i = 0; i < labels.Length; i++) labels[i] = (int)targets[i];
            fixed (float* x = logits)
            fixed (int* y = labels)
                return CrossEntropy.Forward(x, labels.Length, logits.Length / labels.Length, y, 1f / labels.Length, threads, smoothing).Loss / labels.Length;
        }
        double sum = 0;
        for (int i = 0; i < logits.Length; i++)
        {
            double x = logits[i], y = targets[i];
            // log(1 + e⁻ˣ) without overflow
            sum += kind == SequenceLossKind.Regression ? (x - y) * (x - y) : Math.Max(x, 0) - x * y + Math.Log(1 + Math.Exp(-Math.Abs(x)));
            double slope = kind == SequenceLossKind.Regression ? 2 * (x - y) : 1 / (1 + Math.Exp(-x)) - y;
            logits[i] = (float)(slope / logits.Length);
        }
        return sum / logits.Length;
    }
}
