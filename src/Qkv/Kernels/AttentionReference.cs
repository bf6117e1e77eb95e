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
            AttentionCall.Run(queries, keys, values, heads, headSize, mask, shape: (in AttentionShape shape) => Forward(shape, outputs, Workers.Limit));
        }
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

                // context = weights·V
                new Span<float>(context, size).Clear();
                for (int key = 0; key < keys; key++) Elementwise.AddScaled<V>(v + key * shape.KeyStride, weights[key], context, size);
            }
        }
    }
}
