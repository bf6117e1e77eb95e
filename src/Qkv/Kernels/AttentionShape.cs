namespace Qkv.Kernels;

/// <summary>
/// One call of attention over packed sequences: where queries, keys and values lie, and what may look at what.
/// Queries of sequence s are the rows QueryStarts[s] … QueryStarts[s + 1] of (Tq, C), its keys and values likewise of
/// (Tk, C); head h is the columns h·D … h·D + D. In self-attention both starts are the same.
/// </summary>
internal unsafe struct AttentionShape
{
    public int Sequences;
    public int Heads;
    public int HeadSize;
    public int* QueryStarts; // (B + 1)
    public int* KeyStarts; // (B + 1)
    public float* Queries; // (Tq, H·D)
    public nint QueryStride;
    public float* Keys; // (Tk, H·D)
    public float* Values; // (Tk, H·D)
    public nint KeyStride;
    public AttentionMaskView Mask;
    public float* Temperatures; // (H): a head's scores are divided by it, in the forward pass; null for 1

    /// <summary>Whether flash attention multiplies in bfloat16, which the processor must have tiles for; never while a model learns.</summary>
    public bool BFloat16;

    /// <summary>What the weights are multiplied by after the softmax, while a model learns.</summary>
    public Dropout Dropout;

    public readonly float Scale => 1f / MathF.Sqrt(HeadSize);

    /// <summary>What products of head <paramref name="head"/> are multiplied by to become scores.</summary>
    public readonly float ScaleOf(int head) => Temperatures == null ? Scale : Scale / Temperatures[head];

    public readonly int QueryLength(int sequence) => QueryStarts[sequence + 1] - QueryStarts[sequence];

    public readonly int KeyLength(int sequence) => KeyStarts[sequence + 1] - KeyStarts[sequence];

    /// <summary>The first query row of a sequence and head: (Lq, D), rows <see cref="QueryStride"/> apart.</summary>
    public readonly float* QueriesOf(int sequence, int head) => Queries + QueryStarts[sequence] * QueryStride + head * HeadSize;

    public readonly float* KeysOf(int sequence, int head) => Keys + KeyStarts[sequence] * KeyStride + head * HeadSize;

    public readonly float* ValuesOf(int sequence, int head) => Values + KeyStarts[sequence] * KeyStride + head * HeadSize;

    /// <summary>
    /// Raw products q·k of one query with keys first … first + count become scores, in place: scaled, the additive mask
    /// added, hidden keys −∞.
    /// </summary>
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveInlining)]
    public readonly void Score<V>(float* products, int sequence, int head, int query, int first, int count) where V : struct, ISimd<V>
    {
        Elementwise.Scale<V>(products, count, ScaleOf(head));
        if (Mask.Additive != null) Elementwise.Add<V>(products, Mask.AdditiveRow(sequence, head, query) + first, products, count);
        Hide(products, sequence, query, first, count);
    }

    /// <summary>Scores or products of one query with keys first … first + count: those of hidden keys become −∞.</summary>
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveInlining)]
    public readonly void Hide(float* products, int sequence, int query, int first, int count)
    {
        if (Mask.HiddenKeys != null)
        {
            byte* hidden = Mask.HiddenKeys + KeyStarts[sequence] + first;
            for (int key = 0; key < count; key++)
                if (hidden[key] != 0) products[key] = float.NegativeInfinity;
        }
        if (Mask.Causal)
        {
            int visible = VisibleKeys(sequence, query) - first;
            for (int key = Math.Max(visible, 0); key < count; key++) products[key] = float.NegativeInfinity;
        }
    }

    /// <summary>Weights of one query for keys first … first + count *= what dropout draws for them. <paramref name="factors"/> is scratch (count).</summary>
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveInlining)]
    public readonly void Drop<V>(float* weights, int sequence, int head, int query, int first, int count, float* factors) where V : struct, ISimd<V>
    {
        Dropout.Factors(Dropout.Row(sequence, head, Heads, query), first, count, factors);
        Elementwise.Multiply<V>(weights, factors, weights, count);
    }

    // The last query sees every key, as when the keys before the first query come from a cache.
    private readonly int VisibleKeys(int sequence, int query) => query + 1 + KeyLength(sequence) - QueryLength(sequence);
}

/// <summary>What the backward passes of attention read and write; queries, keys and values themselves are in the shape.</summary>
internal unsafe struct AttentionGradients
{
    public float* Context; // (Tq, H·D), from the forward pass
    public float* ContextGradient; // (Tq, H·D)
    public nint ContextStride;
    public float* LogSums; // λ (Tq, H), from the forward pass of flash attention
    public float* Queries; // (Tq, H·D), overwritten
    public float* Keys; // (Tk, H·D), overwritten
    public float* Values; // (Tk, H·D), overwritten
    public nint Stride;
}

/// <summary>What hides keys from queries, as the kernels read it; absent parts are null.</summary>
internal unsafe struct AttentionMaskView
{
    /// <summary>(Tk): 1 where a key is hidden from every query.</summary>
    public byte* HiddenKeys;

    /// <summary>Query i sees keys up to i + Lk − Lq.</summary>
    public bool Causal;

    /// <summary>(B or 1, H or 1, Lq or 1, Lk): added to the scores; a stride of 0 repeats.</summary>
    public float* Additive;
    public nint AdditiveSequenceStride;
    public nint AdditiveHeadStride;
    public nint AdditiveQueryStride;

    /// <summary>(H): multiplies the weights of a head after the softmax.</summary>
    public float* HeadFactors;

    public readonly float* AdditiveRow(int sequence, int head, int query) =>
        Additive + sequence * AdditiveSequenceStride + head * AdditiveHeadStride + query * AdditiveQueryStride;

    public readonly float HeadFactor(int head) => HeadFactors == null ? 1f : HeadFactors[head];
}
