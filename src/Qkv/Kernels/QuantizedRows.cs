using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// Activations as uint8, row by row (token by token):
/// <code>q = round(x / scale) + zero,  scale = (max(x, 0) − min(x, 0)) / 255,  zero = round(−min(x, 0) / scale)</code>
/// so that x ≈ scale·(q − zero) and 0 is exact; ties to even. A row that holds a NaN or an infinity has the scale NaN, so that nothing finite
/// comes of it. Rows are filled up to whole groups with zeros, which meet zeros of W.
/// </summary>
internal readonly unsafe struct QuantizedRows(float* x, nint xStride, int rows, int inner, byte* q, float* scales, int* zeros) : IKernel
{
    private readonly float* _x = x; // (T, K)
    private readonly byte* _q = q; // (T, K in whole groups)
    private readonly float* _scales = scales; // (T)
    private readonly int* _zeros = zeros; // (T)

    /// <summary>Cut for the thread team.</summary>
    public void Run(int threads) => Workers.Run(this, (rows + RowParts.RowsPerPart(inner) - 1) / RowParts.RowsPerPart(inner), threads);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<V>(int part, int worker) where V : struct, ISimd<V>
    {
        int first = part * RowParts.RowsPerPart(inner), end = Math.Min(first + RowParts.RowsPerPart(inner), rows), stride = QuantizedPanels.Stride(inner);
        for (int row = first; row < end; row++)
        {
            float* x = _x + row * xStride;
            byte* q = _q + (nint)row * stride;
            // The largest of −x is minus the least of x; zero is always inside.
            (float most, float least) = Range<V>(x, inner);
            float range = most / 255f + least / 255f, scale = float.IsFinite(range) ? MathF.Max(range, QuantizedPanels.SmallestScale) : float.NaN;
            float inverse = 1f / scale, zero = MathF.Min(MathF.Round(least * inverse), 255f);
            _scales[row] = scale;
            _zeros[row] = float.IsNaN(scale) ? 0 : (int)zero;
            int whole = Simd.Whole<V>(inner);
            if (float.IsNaN(scale))
            {
                new Span<byte>(q, inner).Clear();
            }
            else
            {
                for (int i = 0; i < whole; i += V.Width) Quantize(V.Load(x + i), inverse, zero).StoreBytes(q + i);
                for (int i = whole; i < inner; i++) Quantize(Scalar.Load(x + i), inverse, zero).StoreBytes(q + i);
            }
            for (int i = inner; i < stride; i++) q[i] = 0;
        }
    }

    /// <summary>The largest of x and 0, and of −x and 0; NaN where there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (float Most, float Least) Range<V>(float* x, int count) where V : struct, ISimd<V>
    {
        V zero = V.Create(0f), most = zero, least = zero;
        int whole = Simd.Whole<V>(count);
        for (int i = 0; i < whole; i += V.Width)
        {
            V numbers = V.Load(x + i);
            most = V.Maximum(most, numbers);
            least = V.Maximum(least, zero - numbers);
        }
        float* lanes = stackalloc float[2 * V.Width];
        most.Store(lanes);
        least.Store(lanes + V.Width);
        (float Most, float Least) range = (0f, 0f);
        for (int i = 0; i < V.Width; i++) range = (MathF.Max(range.Most, lanes[i]), MathF.Max(range.Least, lanes[V.Width + i]));
        for (int i = whole; i < count; i++) range = (MathF.Max(range.Most, x[i]), MathF.Max(range.Least, -x[i]));
        return range;
    }

    // No multiply-add, so that every SIMD level rounds alike.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Quantize<V>(V x, float inverse, float zero) where V : struct, ISimd<V> =>
        V.Min(V.Max(V.Round(x * V.Create(inverse)) + V.Create(zero), V.Create(0f)), V.Create(255f));
}
