using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// Attention as it is defined (Vaswani et al. 2017), with everything it computes kept:
/// <code>
/// scores  = Q·Kᵀ / √D      (H, Lq, Lk)  how much each query token looks at each key token
/// weights = softmax(scores) (H, Lq, Lk)  each row sums to 1
/// context = weights·V       (Lq, H·D)    the weighted sum of the value rows
/// </code>
/// This is the specification of <see cref="FlashAttention"/>, and what the inspector shows. Memory grows with Lq·Lk.
/// </summary>
public static unsafe class AttentionReference
{
    /// <summary>Attention over one sequence of queries and one of keys.</summary>
    /// <param name="queries">Q (Lq, H·D): head h is columns h·D … h·D + D.</param>
    /// <param name="keys">K (Lk, H·D)</param>
    /// <param name="values">V (Lk, H·D)</param>
    /// <param name="heads">H</param>
    /// <param name="headSize">D</param>
    /// <param name="scores">(H, Lq, Lk): scaled, mask included; hidden keys are −∞.</param>
    /// <param name="weights">(H, Lq, Lk), after the head factors.</param>
    /// <param name="context">(Lq, H·D)</param>
    /// <param name="mask">What hides keys; null for nothing.</param>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public static void Forward(ReadOnlySpan<float> queries, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int heads, int headSize,
        Span<float> scores, Span<float> weights, Span<float> context, AttentionMask? mask = null)
    {
        const string operation = nameof(AttentionReference);
        (int queryLength, int keyLength) = AttentionCall.Check(operation, queries, keys, values, heads, headSize, context, mask);
        Kernels.Check.Length(operation, nameof(scores), (long)heads * queryLength * keyLength, scores.Length);
        Kernels.Check.Length(operation, nameof(weights), scores.Length, weights.Length);
        fixed (float* s = scores, w = weights, c = context)
        {
            long start = 0;
            var outputs = new Outputs { Scores = s, Weights = w, Starts = &start, Context = c, ContextStride = heads * headSize };
            AttentionCall.Run(queries, keys, values, heads, headSize, mask, new Whole(outputs));
        }
    }

    private readonly struct Whole(Outputs outputs) : IAttentionBody
    {
        public void Run(in AttentionShape shape) => Forward(shape, outputs, Workers.Limit);
    }

    /// <summary>Where the results go. Scores and weights of sequence s start at Starts[s].</summary>
    internal struct Outputs
    {
        public float* Scores;
        public float* Weights;
        public long* Starts; // (B)
        public float* Context; // (Tq, H·D)
        public nint ContextStride;
    }

    internal static void Forward(in AttentionShape shape, in Outputs outputs, int threads) =>
        Workers.Run(new Heads(shape, outputs), shape.Sequences * shape.Heads, threads);

    private readonly struct Heads(AttentionShape shape, Outputs outputs) : IKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int sequence = part / shape.Heads, head = part % shape.Heads;
            int queries = shape.QueryLength(sequence), keys = shape.KeyLength(sequence), size = shape.HeadSize;
            nint start = (nint)outputs.Starts[sequence] + (nint)head * queries * keys;
            float* k = shape.KeysOf(sequence, head), v = shape.ValuesOf(sequence, head);
            for (int query = 0; query < queries; query++)
            {
                float* q = shape.QueriesOf(sequence, head) + query * shape.QueryStride;
                float* scores = outputs.Scores + start + (nint)query * keys;
                float* weights = outputs.Weights + start + (nint)query * keys;
                float* context = outputs.Context + (shape.QueryStarts[sequence] + query) * outputs.ContextStride + head * size;

                // scores = q·Kᵀ / √D
                for (int key = 0; key < keys; key++) scores[key] = Elementwise.Dot<V>(q, k + key * shape.KeyStride, size);
                shape.Score<V>(scores, sequence, head, query, 0, keys);

                // weights = softmax(scores)
                Softmax.Row<V>(scores, keys, weights);
                if (shape.Mask.HeadFactors != null) Elementwise.Scale<V>(weights, keys, shape.Mask.HeadFactor(head));

                // context = weights·V; while a model learns, some of the weights are dropped for it
                new Span<float>(context, size).Clear();
                for (int key = 0; key < keys; key++)
                {
                    float factor = 1f;
                    if (shape.Dropout.IsOn) shape.Dropout.Factors(Dropout.Row(sequence, head, shape.Heads, query), key, 1, &factor);
                    Elementwise.AddScaled<V>(v + key * shape.KeyStride, weights[key] * factor, context, size);
                }
            }
        }
    }

    /// <summary>
    /// The gradients of Q, K and V, line by line from the scores that the forward pass kept: the specification of what
    /// <see cref="FlashAttention"/> does without them. f is the head's factor times what dropout draws.
    /// <code>
    /// w  = softmax(scores)
    /// dV += (w·f)ᵀ·dcontext         forward: context = (w·f)·V
    /// dw  = (dcontext·Vᵀ)·f
    /// ds  = w·(dw − Σ w·dw)         forward: w = softmax(scores)
    /// dQ += ds·K / √D               forward: scores = Q·Kᵀ / √D
    /// dK += dsᵀ·Q / √D
    /// </code>
    /// </summary>
    internal static void Backward(in AttentionShape shape, in Outputs outputs, in AttentionGradients gradients, int threads)
    {
        int longest = 0;
        for (int sequence = 0; sequence < shape.Sequences; sequence++) longest = Math.Max(longest, shape.KeyLength(sequence));
        var scratch = new AlignedBuffer(3L * longest * Workers.Limit);
        Workers.Run(new HeadGradients(shape, outputs, gradients, scratch.Pointer, longest), shape.Sequences * shape.Heads, threads);
        GC.KeepAlive(scratch);
    }

    private readonly struct HeadGradients(AttentionShape shape, Outputs outputs, AttentionGradients gradients, float* scratch, int longest) : IKernel
    {
        private readonly float* _scratch = scratch;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int sequence = part / shape.Heads, head = part % shape.Heads;
            int queries = shape.QueryLength(sequence), keys = shape.KeyLength(sequence), size = shape.HeadSize;
            nint start = (nint)outputs.Starts[sequence] + (nint)head * queries * keys;
            float* w = _scratch + (nint)worker * 3 * longest, dw = w + longest, f = dw + longest; // (Lk) each
            float* k = shape.KeysOf(sequence, head), v = shape.ValuesOf(sequence, head);
            nint column = head * size, firstQuery = shape.QueryStarts[sequence], firstKey = shape.KeyStarts[sequence];
            float* dk = gradients.Keys + firstKey * gradients.Stride + column, dv = gradients.Values + firstKey * gradients.Stride + column;
            for (int key = 0; key < keys; key++)
            {
                new Span<float>(dk + key * gradients.Stride, size).Clear();
                new Span<float>(dv + key * gradients.Stride, size).Clear();
            }
            for (int query = 0; query < queries; query++)
            {
                float* q = shape.QueriesOf(sequence, head) + query * shape.QueryStride;
                float* dq = gradients.Queries + (firstQuery + query) * gradients.Stride + column;
                float* dcontext = gradients.ContextGradient + (firstQuery + query) * gradients.ContextStride + column;

                Softmax.Row<V>(outputs.Scores + start + (nint)query * keys, keys, w);
                new Span<float>(f, keys).Fill(shape.Mask.HeadFactor(head));
                if (shape.Dropout.IsOn) shape.Drop<V>(f, sequence, head, query, 0, keys, dw);

                // context = (w·f)·V
                for (int key = 0; key < keys; key++)
                {
                    Elementwise.AddScaled<V>(dcontext, w[key] * f[key], dv + key * gradients.Stride, size);
                    dw[key] = Elementwise.Dot<V>(dcontext, v + key * shape.KeyStride, size) * f[key];
                }

                // w = softmax(scores)
                float shared = Elementwise.Dot<V>(w, dw, keys);
                for (int key = 0; key < keys; key++) dw[key] = w[key] * (dw[key] - shared);

                // scores = q·Kᵀ / √D
                new Span<float>(dq, size).Clear();
                for (int key = 0; key < keys; key++)
                {
                    Elementwise.AddScaled<V>(k + key * shape.KeyStride, dw[key] * shape.Scale, dq, size);
                    Elementwise.AddScaled<V>(q, dw[key] * shape.Scale, dk + key * gradients.Stride, size);
                }
            }
        }
    }
}
