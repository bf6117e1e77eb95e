using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// Layer normalisation of every row (Ba, Kiros, Hinton 2016; <c>torch.nn.LayerNorm</c>):
/// <code>y = (x − mean(x)) / √(var(x) + ε) · γ + β</code>
/// with the biased variance. The second pass works on x − m, m the rounded mean, and takes out what is left of the mean, so a
/// row far from zero loses no digits.
/// </summary>
public static unsafe class LayerNorm
{
    /// <summary>Normalises the rows of <paramref name="x"/> (T, C) into <paramref name="y"/> (T, C), which may be x.</summary>
    /// <param name="x">(T, C)</param>
    /// <param name="gamma">Scale (C).</param>
    /// <param name="beta">Shift (C); empty for none.</param>
    /// <param name="epsilon">Added to the variance, inside the root.</param>
    /// <param name="y">(T, C)</param>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public static void Forward(ReadOnlySpan<float> x, ReadOnlySpan<float> gamma, ReadOnlySpan<float> beta, float epsilon, Span<float> y)
    {
        Check.Positive(nameof(LayerNorm), nameof(gamma), gamma.Length);
        Check.Length(nameof(LayerNorm), nameof(y), x.Length, y.Length);
        if (x.Length % gamma.Length != 0)
            throw new ArgumentException($"{nameof(LayerNorm)}: x holds {x.Length:N0} numbers, which is no multiple of the row length {gamma.Length:N0}.", nameof(x));
        if (!beta.IsEmpty) Check.Length(nameof(LayerNorm), nameof(beta), gamma.Length, beta.Length);
        fixed (float* source = x, scale = gamma, shift = beta, destination = y)
            Forward(source, x.Length / gamma.Length, gamma.Length, scale, shift, epsilon, destination, Workers.Limit);
    }

    internal static void Forward(float* x, int rows, int columns, float* gamma, float* beta, float epsilon, float* y, int threads)
    {
        int rowsPerPart = RowParts.RowsPerPart(columns);
        Workers.Run(new Rows(x, rows, columns, gamma, beta, epsilon, y, rowsPerPart), (rows + rowsPerPart - 1) / rowsPerPart, threads);
    }

    private readonly struct Rows(float* x, int rows, int columns, float* gamma, float* beta, float epsilon, float* y, int rowsPerPart) : IKernel
    {
        private readonly float* _x = x, _gamma = gamma, _beta = beta, _y = y;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int end = Math.Min((part + 1) * rowsPerPart, rows);
            for (int row = part * rowsPerPart; row < end; row++)
                Row<V>(_x + (nint)row * columns, columns, _gamma, _beta, epsilon, _y + (nint)row * columns);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Row<V>(float* x, int columns, float* gamma, float* beta, float epsilon, float* y) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(columns);
        V sums = V.Create(0f);
        for (int i = 0; i < whole; i += V.Width) sums += V.Load(x + i);
        float sum = V.Sum(sums);
        for (int i = whole; i < columns; i++) sum += x[i];
        float mean = sum / columns;

        V shift = V.Create(mean), rests = V.Create(0f), squares = V.Create(0f);
        for (int i = 0; i < whole; i += V.Width)
        {
            V d = V.Load(x + i) - shift;
            rests += d;
            squares = V.Fma(d, d, squares);
        }
        float rest = V.Sum(rests), square = V.Sum(squares);
        for (int i = whole; i < columns; i++)
        {
            float d = x[i] - mean;
            rest += d;
            square = float.MultiplyAddEstimate(d, d, square);
        }
        rest /= columns;
        float variance = Math.Max(square / columns - rest * rest, 0f);
        float inverse = 1f / MathF.Sqrt(variance + epsilon);

        V scale = V.Create(inverse), correction = V.Create(rest);
        for (int i = 0; i < whole; i += V.Width)
        {
            V normalized = (V.Load(x + i) - shift - correction) * scale;
            V shifted = beta == null ? V.Create(0f) : V.Load(beta + i);
            V.Fma(normalized, V.Load(gamma + i), shifted).Store(y + i);
        }
        for (int i = whole; i < columns; i++)
            y[i] = float.MultiplyAddEstimate((x[i] - mean - rest) * inverse, gamma[i], beta == null ? 0f : beta[i]);
    }
}

/// <summary>How row-wise operations are cut for the thread team.</summary>
internal static class RowParts
{
    // About 16 K numbers a part: some microseconds of work, which is what handing a part to a thread must be worth.
    private const int Numbers = 16 * 1024;

    public static int RowsPerPart(int columns) => Math.Max(1, Numbers / columns);
}
