using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// Activations as numbers from 0 to 255, row by row (token by token):
/// <code>q = round(x / scale) + zero,  scale = (max(x, 0) − min(x, 0)) / 255,  zero = round(−min(x, 0) / scale)</code>
/// so that x ≈ scale·(q − zero) and 0 is exact; ties to even. A row that holds a NaN or an infinity has the scale NaN, so that nothing finite
/// comes of it. Rows are filled up to whole groups with zeros, which meet zeros of W. q and zero are both less by <see cref="QuantizedTile.Offset"/>, which their difference does not show.
/// </summary>
internal readonly unsafe struct QuantizedRows(float* x, nint xStride, int rows, int inner, byte* q, nint qStride, float* scales, int* zeros, int threads) : IKernel
{
    private readonly float* _x = x; // (T, K)
    private readonly byte* _q = q; // (T, K in whole groups), rows qStride apart
    private readonly float* _scales = scales; // (T)
    private readonly int* _zeros = zeros; // (T)

    private readonly int _rowsPerPart = RowParts.RowsPerPart(rows, inner, threads);

    /// <summary>Cut for the thread team.</summary>
    public void Run() => Workers.Run(this, (rows + _rowsPerPart - 1) / _rowsPerPart, threads);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<V>(int part, int worker) where V : struct, ISimd<V>
    {
        int offset = QuantizedTile.Offset;
        int filled = QuantizedPanels.Padded(inner), first = part * _rowsPerPart, end = Math.Min(first + _rowsPerPart, rows);
        for (int row = first; row < end; row++)
        {
            float* x = _x + row * xStride;
            byte* q = _q + row * qStride;
            (float most, float least, bool finite) = Range<V>(x, inner);
            float scale = finite ? MathF.Max(most / 255f - least / 255f, QuantizedPanels.SmallestScale) : float.NaN;
            float inverse = 1f / scale, zero = MathF.Round(-least * inverse) - offset, highest = 255f - offset;
            _scales[row] = scale;
            _zeros[row] = finite ? (int)zero : 0;
            int whole = Simd.Whole<V>(inner);
            if (!finite)
            {
                new Span<byte>(q, inner).Clear();
            }
            else
            {
                for (int i = 0; i < whole; i += V.Width) Quantize(V.Load(x + i), inverse, zero, highest).StoreBytes(q + i);
                for (int i = whole; i < inner; i++) Quantize(Scalar.Load(x + i), inverse, zero, highest).StoreBytes(q + i);
            }
            for (int i = inner; i < filled; i++) q[i] = 0;
        }
    }

    /// <summary>The largest and the least of x and 0, where all of x is finite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (float Most, float Least, bool Finite) Range<V>(float* x, int count) where V : struct, ISimd<V>
    {
        // The processor's own comparisons may lose a NaN; 0·x, which is NaN where x is not finite, keeps it. Two sums, as one would wait for itself.
        V zero = V.Create(0f), most = zero, least = zero, poison = zero, otherPoison = zero;
        int pairs = count / (2 * V.Width) * (2 * V.Width);
        for (int i = 0; i < pairs; i += 2 * V.Width)
        {
            V a = V.Load(x + i), b = V.Load(x + i + V.Width);
            most = V.Max(most, V.Max(a, b));
            least = V.Min(least, V.Min(a, b));
            poison = V.Fma(a, zero, poison);
            otherPoison = V.Fma(b, zero, otherPoison);
        }
        (float Most, float Least, float Poison) range = (V.MaxLane(most), -V.MaxLane(zero - least), V.Sum(poison + otherPoison));
        for (int i = pairs; i < count; i++) range = (MathF.Max(range.Most, x[i]), MathF.Min(range.Least, x[i]), range.Poison + 0f * x[i]);
        return (range.Most, range.Least, !float.IsNaN(range.Poison));
    }

    // No multiply-add, so that every SIMD level rounds alike. The least x gives the lowest number; the largest may give one more than the highest, where both it and the zero point were rounded up.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Quantize<V>(V x, float inverse, float zero, float highest) where V : struct, ISimd<V> =>
        V.Min(V.Round(x * V.Create(inverse)) + V.Create(zero), V.Create(highest));
}
