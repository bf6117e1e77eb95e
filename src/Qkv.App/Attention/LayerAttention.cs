namespace Qkv.App.Attention;

/// <summary>The attention weights of one layer for one sequence of L tokens: of each head, and their average.</summary>
internal sealed class LayerAttention
{
    private readonly AttentionTrace _trace;

    public LayerAttention(AttentionTrace trace, int layer)
    {
        (_trace, Layer, Length) = (trace, layer, trace.LengthOf(0));
        Average = new float[Length * Length];
        Entropies = new float[trace.Heads];
        for (int head = 0; head < trace.Heads; head++)
        {
            ReadOnlySpan<float> weights = Head(head);
            for (int i = 0; i < weights.Length; i++) Average[i] += weights[i] / trace.Heads;
            Entropies[head] = MeanEntropy(weights, Length);
        }
    }

    public int Layer { get; }

    /// <summary>L</summary>
    public int Length { get; }

    /// <summary>(L, L), row i is how much token i looks at each token, in the mean over all heads.</summary>
    public float[] Average { get; }

    /// <summary>(H), the mean entropy of a head's rows in nats: 0 where every token looks at one, ln L where at all alike.</summary>
    public float[] Entropies { get; }

    public int Heads => Entropies.Length;

    /// <summary>The head of lowest mean entropy.</summary>
    public int MostDecided => Array.IndexOf(Entropies, Entropies.Min());

    /// <summary>(L, L)</summary>
    public ReadOnlySpan<float> Head(int head) => _trace.WeightsOf(0, Layer, head);

    /// <summary>The mean over the rows of −Σ p·ln p.</summary>
    public static float MeanEntropy(ReadOnlySpan<float> weights, int rows)
    {
        double sum = 0;
        foreach (float weight in weights)
            if (weight > 0f) sum -= weight * Math.Log(weight);
        return (float)(sum / Math.Max(1, rows));
    }
}
