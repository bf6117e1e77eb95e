namespace Qkv.Kernels;

/// <summary>
/// What hides keys from queries in one call of attention. All parts may be combined; an absent part hides nothing.
/// A query from which the boolean parts hide every key gets zero weights and a zero context, never NaN. An additive mask is
/// only a number: float32's lowest value absorbs the score, and a row that consists of it is uniform (as in Hugging Face).
/// </summary>
public sealed class AttentionMask
{
    /// <summary>(Lk): false hides a key from every query (padding). Empty: all are visible.</summary>
    public ReadOnlyMemory<bool> VisibleKeys { get; init; }

    /// <summary>Query i sees the keys 0 … i + Lk − Lq only: with as many keys as queries, itself and what comes before it.</summary>
    public bool Causal { get; init; }

    /// <summary>
    /// Added to the scaled scores: (H, Lq, Lk), or (Lq, Lk) for every head, or (Lk) for every head and query. Empty: none.
    /// </summary>
    public ReadOnlyMemory<float> Additive { get; init; }

    /// <summary>(H): multiplies the weights of each head after the softmax (0 switches a head off). Empty: none.</summary>
    public ReadOnlyMemory<float> HeadFactors { get; init; }

    internal void CheckAgainst(string operation, int heads, int queries, int keys)
    {
        if (!VisibleKeys.IsEmpty) Check.Length(operation, nameof(VisibleKeys), keys, VisibleKeys.Length);
        if (!HeadFactors.IsEmpty) Check.Length(operation, nameof(HeadFactors), heads, HeadFactors.Length);
        if (!Additive.IsEmpty && Additive.Length != keys && Additive.Length != (long)queries * keys && Additive.Length != (long)heads * queries * keys)
            throw new ArgumentException(
                $"{operation}: {nameof(Additive)} must be (heads, queries, keys) = ({heads}, {queries}, {keys}), (queries, keys) or (keys), but holds {Additive.Length:N0} numbers.");
    }
}
