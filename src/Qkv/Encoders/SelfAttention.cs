using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>
/// The mechanism itself: from hidden states X, the queries Q = X·Wq + bq, keys K = X·Wk + bk and values V = X·Wv + bv, split into
/// H heads of D features, and for each head scores = Q·Kᵀ/√D, weights = softmax(scores), context = weights·V. In
/// cross-attention the queries come from one sentence, keys and values from another. Immutable and safe to call from many threads.
/// </summary>
/// <remarks>Source: Vaswani et al. 2017; Hugging Face's <c>BertSelfAttention</c>.</remarks>
public sealed unsafe class SelfAttention
{
    private readonly Linear _queriesKeysValues; // (3·H·D, C)

    /// <summary>Packs the three linear maps.</summary>
    /// <param name="features">C, the features of a hidden state.</param>
    /// <param name="heads">H</param>
    /// <param name="headSize">D</param>
    /// <param name="queries">Wq (H·D, C) and bq (H·D).</param>
    /// <param name="keys">Wk (H·D, C) and bk (H·D).</param>
    /// <param name="values">Wv (H·D, C) and bv (H·D).</param>
    /// <exception cref="ArgumentException">The parameters do not have these sizes.</exception>
    public SelfAttention(int features, int heads, int headSize, LinearParameters queries, LinearParameters keys, LinearParameters values)
    {
        Check.Positive(nameof(SelfAttention), nameof(heads), heads);
        Check.Positive(nameof(SelfAttention), nameof(headSize), headSize);
        (Heads, HeadSize) = (heads, headSize);
        _queriesKeysValues = new Linear(Linear.Empty(3, features, checked(heads * headSize)));
        _queriesKeysValues.Pack(0, nameof(queries), queries);
        _queriesKeysValues.Pack(1, nameof(keys), keys);
        _queriesKeysValues.Pack(2, nameof(values), values);
    }

    internal SelfAttention(Linear queriesKeysValues, int heads) =>
        (_queriesKeysValues, Heads, HeadSize) = (queriesKeysValues, heads, queriesKeysValues.Matrix.Columns / heads);

    /// <summary>C, the features of a hidden state.</summary>
    public int Features => _queriesKeysValues.Inputs;

    /// <summary>H</summary>
    public int Heads { get; }

    /// <summary>D</summary>
    public int HeadSize { get; }

    internal Linear QueriesKeysValues => _queriesKeysValues;

    /// <summary>Self-attention with <see cref="FlashAttention"/>: only the context is kept.</summary>
    /// <param name="hidden">X (L, C)</param>
    /// <param name="context">(L, H·D), the heads joined, before any output projection.</param>
    /// <param name="mask">What hides keys; null for nothing.</param>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public void Forward(ReadOnlySpan<float> hidden, Span<float> context, AttentionMask? mask = null) => Forward(hidden, hidden, context, mask);

    /// <summary>Cross-attention with <see cref="FlashAttention"/>: queries from A, keys and values from B.</summary>
    /// <param name="hidden">A (La, C)</param>
    /// <param name="other">B (Lb, C)</param>
    /// <param name="context">(La, H·D)</param>
    /// <param name="mask">What hides keys; null for nothing.</param>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public void Forward(ReadOnlySpan<float> hidden, ReadOnlySpan<float> other, Span<float> context, AttentionMask? mask = null)
    {
        float[] queries = Map(0, nameof(hidden), hidden), keys = Map(1, nameof(other), other), values = Map(2, nameof(other), other);
        FlashAttention.Forward(queries, keys, values, Heads, HeadSize, context, mask);
    }

    /// <summary>Self-attention with every matrix kept.</summary>
    /// <param name="hidden">X (L, C)</param>
    /// <param name="mask">What hides keys; null for nothing.</param>
    public AttentionMatrices Trace(ReadOnlySpan<float> hidden, AttentionMask? mask = null) => Trace(hidden, hidden, mask);

    /// <summary>Cross-attention with every matrix kept: queries from A, keys and values from B.</summary>
    /// <param name="hidden">A (La, C)</param>
    /// <param name="other">B (Lb, C)</param>
    /// <param name="mask">What hides keys; null for nothing.</param>
    public AttentionMatrices Trace(ReadOnlySpan<float> hidden, ReadOnlySpan<float> other, AttentionMask? mask = null)
    {
        float[] queries = Map(0, nameof(hidden), hidden), keys = Map(1, nameof(other), other), values = Map(2, nameof(other), other);
        int queryLength = hidden.Length / Features, keyLength = other.Length / Features;
        var result = new AttentionMatrices(Heads, HeadSize, queryLength, keyLength, queries, keys, values);
        AttentionReference.Forward(queries, keys, values, Heads, HeadSize, result.Scores, result.Weights, result.Context, mask);
        return result;
    }

    /// <summary>Queries, keys and values of packed sequences, and their context: (T, C) → (T, C). Scores and weights are kept where asked for.</summary>
    internal void Forward(in TokenSlice tokens, float* hidden, in LayerActivations a, int threads)
    {
        _queriesKeysValues.Forward(hidden, tokens.Tokens, a.QueriesKeysValues, threads);
        AttentionShape shape = Shape(tokens, a);
        int features = Heads * HeadSize;
        float* context = a.Context - tokens.Origin * features;
        a.Change?.ApplyTo(ref shape);
        if (a.Scores == null)
            FlashAttention.Forward(shape, context, features, a.Scratch, threads, a.LogSums == null ? null : a.LogSums - tokens.Origin * Heads);
        else
            AttentionReference.Forward(shape, new() { Scores = a.Scores, Weights = a.Weights, Starts = a.ScoreStarts, Context = context, ContextStride = features }, threads);
    }

    /// <summary>
    /// Forward: Q, K, V = X·W; context = attention(Q, K, V). Backward: g.Context (T, C) → g.QueriesKeysValues (T, 3·C) → dx (T, C), added to it;
    /// <paramref name="dx"/> may be null where nobody asks for it.
    /// </summary>
    internal void Backward(in TokenSlice tokens, float* hidden, in LayerActivations a, in LayerGradients g, float* dx, int threads)
    {
        int features = Heads * HeadSize;
        nint context = tokens.Origin * features, rows = tokens.Origin * 3 * features;
        var gradients = new AttentionGradients
        {
            Context = a.Context - context,
            ContextGradient = g.Context - context,
            ContextStride = features,
            LogSums = a.LogSums - tokens.Origin * Heads,
            Queries = g.QueriesKeysValues - rows,
            Keys = g.QueriesKeysValues - rows + features,
            Values = g.QueriesKeysValues - rows + 2 * features,
            Stride = 3 * features,
        };
        FlashAttention.Backward(Shape(tokens, a), gradients, g.Scratch, threads);
        _queriesKeysValues.Backward(hidden, tokens.Tokens, g.QueriesKeysValues, dx, add: true, threads);
    }

    /// <summary>Attention of packed sequences over joined rows (T, 3·C). Sequence starts count from the start of the batch, rows from that of the slice.</summary>
    private AttentionShape Shape(in TokenSlice tokens, in LayerActivations a)
    {
        int features = Heads * HeadSize;
        float* queries = a.QueriesKeysValues - tokens.Origin * 3 * features;
        return new AttentionShape
        {
            Sequences = tokens.Sequences,
            Heads = Heads,
            HeadSize = HeadSize,
            QueryStarts = tokens.Starts,
            KeyStarts = tokens.Starts,
            Queries = queries,
            QueryStride = 3 * features,
            Keys = queries + features,
            Values = queries + 2 * features,
            KeyStride = 3 * features,
            Mask = new AttentionMaskView { HiddenKeys = tokens.HiddenKeys == null ? null : tokens.HiddenKeys - tokens.Origin },
            Dropout = a.WeightsDropout,
            BFloat16 = MachineTiles.HasBFloat16 && _queriesKeysValues.Matrix.Precision != Precision.Float32,
        };
    }

    private float[] Map(int map, string name, ReadOnlySpan<float> hidden) // (L, C) → (L, H·D)
    {
        if (hidden.Length % Features != 0)
            throw new ArgumentException($"{nameof(SelfAttention)}: {name} holds {hidden.Length:N0} numbers, which is no multiple of the {Features} features of a hidden state.", name);
        int rows = hidden.Length / Features, columns = Heads * HeadSize;
        var result = new float[(long)rows * columns];
        fixed (float* x = hidden, y = result)
            MatMul.Forward(x, Features, rows, _queriesKeysValues.Matrix, y, columns, Workers.Limit, firstMap: map, maps: 1);
        return result;
    }
}

/// <summary>All matrices of one call of attention.</summary>
public sealed class AttentionMatrices
{
    internal AttentionMatrices(int heads, int headSize, int queryLength, int keyLength, float[] queries, float[] keys, float[] values)
    {
        (Heads, HeadSize, QueryLength, KeyLength) = (heads, headSize, queryLength, keyLength);
        (Queries, Keys, Values) = (queries, keys, values);
        Scores = new float[(long)heads * queryLength * keyLength];
        Weights = new float[Scores.Length];
        Context = new float[queries.Length];
    }

    /// <summary>H</summary>
    public int Heads { get; }

    /// <summary>D</summary>
    public int HeadSize { get; }

    /// <summary>Lq</summary>
    public int QueryLength { get; }

    /// <summary>Lk</summary>
    public int KeyLength { get; }

    /// <summary>Q (Lq, H·D): head h is columns h·D … h·D + D.</summary>
    public float[] Queries { get; }

    /// <summary>K (Lk, H·D)</summary>
    public float[] Keys { get; }

    /// <summary>V (Lk, H·D)</summary>
    public float[] Values { get; }

    /// <summary>(H, Lq, Lk): Q·Kᵀ/√D with masks; hidden keys are −∞.</summary>
    public float[] Scores { get; }

    /// <summary>(H, Lq, Lk): each row sums to 1, or to 0 where every key is hidden.</summary>
    public float[] Weights { get; }

    /// <summary>(Lq, H·D)</summary>
    public float[] Context { get; }
}
