namespace Qkv.Kernels;

/// <summary>What is computed of one sequence of queries and one of keys.</summary>
internal interface IAttentionBody
{
    void Run(in AttentionShape shape);
}

/// <summary>The public edge that both attentions share: one sequence of queries, one of keys and values, checked and pinned.</summary>
internal static unsafe class AttentionCall
{
    /// <summary>Checks the lengths; returns Lq and Lk.</summary>
    public static (int Queries, int Keys) Check(string operation, ReadOnlySpan<float> queries, ReadOnlySpan<float> keys, ReadOnlySpan<float> values,
        int heads, int headSize, ReadOnlySpan<float> context, AttentionMask? mask)
    {
        Kernels.Check.Positive(operation, nameof(heads), heads);
        Kernels.Check.Positive(operation, nameof(headSize), headSize);
        int features = checked(heads * headSize);
        if (queries.Length % features != 0 || keys.Length % features != 0)
            throw new ArgumentException(
                $"{operation}: queries ({queries.Length:N0} numbers) and keys ({keys.Length:N0}) must be rows of heads · headSize = {heads} · {headSize} = {features} numbers.");
        Kernels.Check.Length(operation, nameof(values), keys.Length, values.Length);
        Kernels.Check.Length(operation, nameof(context), queries.Length, context.Length);
        int queryLength = queries.Length / features, keyLength = keys.Length / features;
        mask?.CheckAgainst(operation, heads, queryLength, keyLength);
        return (queryLength, keyLength);
    }

    public static void Run<TBody>(ReadOnlySpan<float> queries, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int heads, int headSize,
        AttentionMask? mask, TBody body) where TBody : struct, IAttentionBody
    {
        int features = heads * headSize, queryLength = queries.Length / features, keyLength = keys.Length / features;
        int* queryStarts = stackalloc int[] { 0, queryLength }, keyStarts = stackalloc int[] { 0, keyLength };
        ReadOnlySpan<bool> visible = mask == null ? default : mask.VisibleKeys.Span;
        using var memory = new Rented((visible.Length + sizeof(float) - 1) / sizeof(float));
        byte* hidden = (byte*)memory.Pointer;
        for (int key = 0; key < visible.Length; key++) hidden[key] = visible[key] ? (byte)0 : (byte)1;
        fixed (float* q = queries, k = keys, v = values, additive = mask == null ? default : mask.Additive.Span, factors = mask == null ? default : mask.HeadFactors.Span)
        {
            nint numbers = mask?.Additive.Length ?? 0;
            body.Run(new AttentionShape
            {
                Sequences = 1,
                Heads = heads,
                HeadSize = headSize,
                QueryStarts = queryStarts,
                KeyStarts = keyStarts,
                Queries = q,
                QueryStride = features,
                Keys = k,
                Values = v,
                KeyStride = features,
                Mask = new AttentionMaskView
                {
                    HiddenKeys = visible.IsEmpty ? null : hidden,
                    Causal = mask?.Causal ?? false,
                    Additive = additive,
                    AdditiveQueryStride = numbers > keyLength ? keyLength : 0,
                    AdditiveHeadStride = numbers > (nint)queryLength * keyLength ? (nint)queryLength * keyLength : 0,
                    HeadFactors = factors,
                },
            });
        }
    }
}
