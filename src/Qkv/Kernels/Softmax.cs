using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// <code>y[i] = exp(x[i] − max x) / Σ exp(x[j] − max x)</code>
/// of every row. Where PyTorch gives NaN (a row of nothing but −∞) the result is zero everywhere: a token that may look at
/// nothing looks at nothing.
/// </summary>
public static unsafe class Softmax
{
    /// <summary>Softmax of the rows of <paramref name="x"/> (T, C) into <paramref name="y"/> (T, C), which may be x.</summary>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public static void Forward(ReadOnlySpan<float> x, int columns, Span<float> y)
    {
        Check.Positive(nameof(Softmax), nameof(columns), columns);
        Check.Length(nameof(Softmax), nameof(y), x.Length, y.Length);
        if (x.Length % columns != 0)
            throw new ArgumentException($"{nameof(Softmax)}: x holds {x.Length:N0} numbers, which is no multiple of the row length {columns:N0}.", nameof(x));
        int rows = x.Length / columns, rowsPerPart = RowParts.RowsPerPart(rows, columns, Workers.Limit);
        fixed (float* source = x, destination = y)
            Workers.Run(new Rows(source, rows, columns, destination, rowsPerPart), (rows + rowsPerPart - 1) / rowsPerPart, Workers.Limit);
    }

    private readonly struct Rows(float* x, int rows, int columns, float* y, int rowsPerPart) : IKernel
    {
        private readonly float* _x = x, _y = y;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int end = Math.Min((part + 1) * rowsPerPart, rows);
            for (int row = part * rowsPerPart; row < end; row++) Row<V>(_x + (nint)row * columns, columns, _y + (nint)row * columns);
        }
    }

    /// <summary>Softmax of one row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Row<V>(float* x, int count, float* y) where V : struct, ISimd<V>
    {
        float max = Max<V>(x, count);
        float sum = ExpSum<V>(x, count, max, y);
        Elementwise.Scale<V>(y, count, sum > 0f ? 1f / sum : float.IsNaN(sum) ? sum : 0f);
    }

    /// <summary>max x, or −∞ for an empty row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float Max<V>(float* x, int count) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        // Two chains: one waits for the comparison before it.
        V maxima = V.Create(float.NegativeInfinity), others = maxima;
        int i = 0;
        for (; i + 2 * V.Width <= whole; i += 2 * V.Width)
        {
            maxima = V.Max(maxima, V.Load(x + i));
            others = V.Max(others, V.Load(x + i + V.Width));
        }
        if (i < whole) maxima = V.Max(maxima, V.Load(x + i));
        float max = V.MaxLane(V.Max(maxima, others));
        for (i = whole; i < count; i++) max = MathF.Max(max, x[i]);
        return max;
    }

    /// <summary>y[i] = exp(x[i] − max); returns their sum. A maximum of −∞ gives zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float ExpSum<V>(float* x, int count, float max, float* y) where V : struct, ISimd<V>
    {
        if (max == float.NegativeInfinity) max = 0f;
        int whole = Simd.Whole<V>(count);
        V shift = V.Create(max), sums = V.Create(0f);
        for (int i = 0; i < whole; i += V.Width)
        {
            V e = Functions.ExpOfAtMost88(V.Load(x + i) - shift);
            e.Store(y + i);
            sums += e;
        }
        float sum = V.Sum(sums);
        for (int i = whole; i < count; i++)
        {
            Functions.ExpOfAtMost88(Scalar.Create(x[i] - max)).Store(y + i);
            sum += y[i];
        }
        return sum;
    }
}
