using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// The gradients of Q, K and V. Weights are not kept by the forward pass; each tile of them comes back from the scores and the
/// logarithm of the row's sum, λ = m + ln l:
/// <code>
/// w  = exp(s − λ)               forward: weights = softmax(scores)
/// dV += wᵀ·dO                   forward: context = weights·V
/// dw = dO·Vᵀ
/// ds = w·(dw − Σ dO·O)          forward: softmax, whose rows sum to 1
/// dQ += ds·K / √D               forward: scores = Q·Kᵀ / √D
/// dK += dsᵀ·Q / √D
/// </code>
/// With dropout context = (w·f)·V, and the factors f are drawn again: dV += (w·f)ᵀ·dO, dw = (dO·Vᵀ)·f; Σ dO·O stays what it is.
/// A part is one head of one sequence, so every sum has one order whatever the number of threads.
/// </summary>
public static unsafe partial class FlashAttention
{
    // Weights and their gradients of 96 queries and 256 keys are 96 KB each: all of a step stays in the second cache.
    private const int GradientBlock = 96;

    /// <summary>Numbers of scratch that each thread needs.</summary>
    internal static long BackwardScratchSize(int headSize)
    {
        long padded = ((long)headSize + Width - 1) / Width * Width;
        // Kᵀ, Vᵀ; K, dK, dV; Q, dO, dQ; w, dw
        return 2L * KeyTile * headSize + 3 * KeyTile * padded + 3 * GradientBlock * padded + 2 * GradientBlock * KeyTile;
    }

    internal static void Backward(in AttentionShape shape, in AttentionGradients gradients, float* scratch, int threads) =>
        Workers.Run(new GradientParts(shape, gradients, scratch), shape.Sequences * shape.Heads, threads);

    private readonly struct GradientParts(AttentionShape shape, AttentionGradients gradients, float* scratch) : IKernel
    {
        private readonly float* _scratch = scratch;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V> =>
            Backward<V>(shape, gradients, part / shape.Heads, part % shape.Heads, _scratch + worker * (nint)BackwardScratchSize(shape.HeadSize));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Backward<V>(in AttentionShape shape, in AttentionGradients g, int sequence, int head, float* scratch) where V : struct, ISimd<V>
    {
        int size = shape.HeadSize, padded = (size + Width - 1) / Width * Width;
        int queries = shape.QueryLength(sequence), keys = shape.KeyLength(sequence);
        float* kAcross = scratch; // Kᵀ (KeyTile / W, D, W), W the columns of a panel
        float* vAcross = kAcross + KeyTile * size; // Vᵀ (KeyTile / W, D, W)
        float* k = vAcross + KeyTile * size; // (KeyTile, padded)
        float* dk = k + KeyTile * padded; // (KeyTile, padded)
        float* dv = dk + KeyTile * padded; // (KeyTile, padded)
        float* q = dv + KeyTile * padded; // (GradientBlock, padded)
        float* dO = q + GradientBlock * padded; // (GradientBlock, padded)
        float* dq = dO + GradientBlock * padded; // (GradientBlock, padded)
        float* w = dq + GradientBlock * padded; // (GradientBlock, KeyTile)
        float* dw = w + GradientBlock * KeyTile; // (GradientBlock, KeyTile)

        float* factors = stackalloc float[shape.Dropout.IsOn ? KeyTile : 0];
        nint firstQuery = shape.QueryStarts[sequence], firstKey = shape.KeyStarts[sequence];
        float* context = g.Context + firstQuery * g.ContextStride + head * size;
        float* contextGradient = g.ContextGradient + firstQuery * g.ContextStride + head * size;
        float* queryGradient = g.Queries + firstQuery * g.Stride + head * size;
        for (int query = 0; query < queries; query++) new Span<float>(queryGradient + query * g.Stride, size).Clear();

        for (int key = 0; key < keys; key += KeyTile)
        {
            int count = Math.Min(KeyTile, keys - key);
            PackKeys(shape.KeysOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, kAcross);
            PackKeys(shape.ValuesOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, vAcross);
            PackRows<V>(shape.KeysOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, k, padded);
            new Span<float>(dk, 2 * KeyTile * padded).Clear(); // and dv behind it

            for (int first = 0; first < queries; first += GradientBlock)
            {
                int rows = Math.Min(GradientBlock, queries - first);
                PackRows<V>(shape.QueriesOf(sequence, head) + first * shape.QueryStride, shape.QueryStride, rows, size, q, padded);
                PackRows<V>(contextGradient + first * g.ContextStride, g.ContextStride, rows, size, dO, padded);
                if (shape.Mask.HeadFactors != null) Elementwise.Scale<V>(dO, rows * padded, shape.Mask.HeadFactor(head));

                for (int panel = 0; panel < count; panel += Width)
                {
                    MatMulTile.Multiply<V>(q, padded, 1, kAcross + panel * size, Width, w + panel, KeyTile, rows, size, add: false);
                    MatMulTile.Multiply<V>(dO, padded, 1, vAcross + panel * size, Width, dw + panel, KeyTile, rows, size, add: false);
                }
                for (int row = 0; row < rows; row++)
                {
                    // w = exp(s − λ)
                    Score<V>(shape, w + row * KeyTile, sequence, head, first + row, key, count);
                    Softmax.ExpSum<V>(w + row * KeyTile, count, g.LogSums[(firstQuery + first + row) * shape.Heads + head], w + row * KeyTile);
                }
                for (int row = 0; row < rows; row++)
                {
                    // ds = w·(dw − Σ dO·O) / √D
                    nint at = (first + row) * g.ContextStride;
                    if (shape.Dropout.IsOn) shape.Drop<V>(dw + row * KeyTile, sequence, head, first + row, key, count, factors);
                    WeightsToScores<V>(w + row * KeyTile, dw + row * KeyTile, count, Elementwise.Dot<V>(contextGradient + at, context + at, size), shape.Scale);
                    if (shape.Dropout.IsOn) Elementwise.Multiply<V>(w + row * KeyTile, factors, w + row * KeyTile, count);
                }
                for (int panel = 0; panel < padded; panel += Width)
                {
                    // dV += wᵀ·dO, dQ += ds·K, dK += dsᵀ·Q
                    MatMulTile.Multiply<V>(w, 1, KeyTile, dO + panel, padded, dv + panel, padded, count, rows, add: true);
                    MatMulTile.Multiply<V>(dw, KeyTile, 1, k + panel, padded, dq + panel, padded, rows, count, add: false);
                    MatMulTile.Multiply<V>(dw, 1, KeyTile, q + panel, padded, dk + panel, padded, count, rows, add: true);
                }
                for (int row = 0; row < rows; row++)
                {
                    float* target = queryGradient + (first + row) * g.Stride;
                    Elementwise.Add<V>(target, dq + row * padded, target, size);
                }
            }
            for (int row = 0; row < count; row++)
            {
                nint at = (firstKey + key + row) * g.Stride + head * size;
                new ReadOnlySpan<float>(dk + row * padded, size).CopyTo(new Span<float>(g.Keys + at, size));
                new ReadOnlySpan<float>(dv + row * padded, size).CopyTo(new Span<float>(g.Values + at, size));
            }
        }
    }

    /// <summary>dw becomes ds = w·(dw − shared)·scale, in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WeightsToScores<V>(float* w, float* dw, int count, float shared, float scale) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        V s = V.Create(shared), factor = V.Create(scale);
        for (int i = 0; i < whole; i += V.Width) (V.Load(w + i) * factor * (V.Load(dw + i) - s)).Store(dw + i);
        for (int i = whole; i < count; i++) dw[i] = w[i] * scale * (dw[i] - shared);
    }
}
