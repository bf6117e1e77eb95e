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
        int rowsPerPart = RowParts.RowsPerPart(rows, columns, threads);
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

    /// <summary>
    /// Gradients of y = x̂·γ + β, x̂ = (x − mean) / √(var + ε), for rows of dy:
    /// <code>
    /// dβ += Σ dy      dγ += Σ dy·x̂      (over the rows, in order)
    /// dx  = (g − mean(g) − x̂·mean(g·x̂)) / √(var + ε),  g = dy·γ
    /// </code>
    /// <paramref name="dx"/> may be <paramref name="dy"/> only where dγ and dβ are null. <paramref name="moments"/> is scratch (T, 2).
    /// </summary>
    internal static void Backward(float* x, int rows, int columns, float* gamma, float epsilon, float* dy, float* dx, float* dGamma, float* dBeta, float* moments, int threads)
    {
        int rowsPerPart = RowParts.RowsPerPart(rows, columns, threads);
        Workers.Run(new RowGradients(x, rows, columns, gamma, epsilon, dy, dx, moments, rowsPerPart), (rows + rowsPerPart - 1) / rowsPerPart, threads);
        if (dGamma != null) Workers.Run(new ColumnGradients(x, rows, columns, dy, dGamma, dBeta, moments), RowParts.ColumnParts(columns), threads);
    }

    private readonly struct RowGradients(float* x, int rows, int columns, float* gamma, float epsilon, float* dy, float* dx, float* moments, int rowsPerPart) : IKernel
    {
        private readonly float* _x = x, _gamma = gamma, _dy = dy, _dx = dx, _moments = moments;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int end = Math.Min((part + 1) * rowsPerPart, rows), whole = Simd.Whole<V>(columns);
            for (int row = part * rowsPerPart; row < end; row++)
            {
                float* x = _x + (nint)row * columns, dy = _dy + (nint)row * columns, dx = _dx + (nint)row * columns;
                (float mean, float rest, float inverse) = Moments<V>(x, columns, epsilon);
                mean += rest;
                _moments[2 * row] = mean;
                _moments[2 * row + 1] = inverse;

                V m = V.Create(mean), scale = V.Create(inverse), sums = V.Create(0f), products = V.Create(0f);
                for (int i = 0; i < whole; i += V.Width)
                {
                    V g = V.Load(dy + i) * V.Load(_gamma + i);
                    sums += g;
                    products = V.Fma(g, (V.Load(x + i) - m) * scale, products);
                }
                float sum = V.Sum(sums), product = V.Sum(products);
                for (int i = whole; i < columns; i++)
                {
                    float g = dy[i] * _gamma[i];
                    sum += g;
                    product = float.MultiplyAddEstimate(g, (x[i] - mean) * inverse, product);
                }
                sum /= columns;
                product /= columns;

                V s = V.Create(sum), p = V.Create(-product);
                for (int i = 0; i < whole; i += V.Width)
                    (V.Fma((V.Load(x + i) - m) * scale, p, V.Load(dy + i) * V.Load(_gamma + i) - s) * scale).Store(dx + i);
                for (int i = whole; i < columns; i++)
                    dx[i] = float.MultiplyAddEstimate((x[i] - mean) * inverse, -product, dy[i] * _gamma[i] - sum) * inverse;
            }
        }
    }

    private readonly struct ColumnGradients(float* x, int rows, int columns, float* dy, float* dGamma, float* dBeta, float* moments) : IKernel
    {
        private readonly float* _x = x, _dy = dy, _dGamma = dGamma, _dBeta = dBeta, _moments = moments;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int first = part * RowParts.Columns, width = Math.Min(RowParts.Columns, columns - first), whole = Simd.Whole<V>(width);
            float* dGamma = _dGamma + first, dBeta = _dBeta + first;
            for (int row = 0; row < rows; row++)
            {
                float* x = _x + (nint)row * columns + first, dy = _dy + (nint)row * columns + first;
                float mean = _moments[2 * row], inverse = _moments[2 * row + 1];
                V m = V.Create(mean), scale = V.Create(inverse);
                for (int i = 0; i < whole; i += V.Width)
                {
                    V d = V.Load(dy + i);
                    (V.Load(dBeta + i) + d).Store(dBeta + i);
                    V.Fma(d, (V.Load(x + i) - m) * scale, V.Load(dGamma + i)).Store(dGamma + i);
                }
                for (int i = whole; i < width; i++)
                {
                    dBeta[i] += dy[i];
                    dGamma[i] = float.MultiplyAddEstimate(dy[i], (x[i] - mean) * inverse, dGamma[i]);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Row<V>(float* x, int columns, float* gamma, float* beta, float epsilon, float* y) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(columns);
        (float mean, float rest, float inverse) = Moments<V>(x, columns, epsilon);
        V shift = V.Create(mean), scale = V.Create(inverse), correction = V.Create(rest);
        for (int i = 0; i < whole; i += V.Width)
        {
            V normalized = (V.Load(x + i) - shift - correction) * scale;
            V shifted = beta == null ? V.Create(0f) : V.Load(beta + i);
            V.Fma(normalized, V.Load(gamma + i), shifted).Store(y + i);
        }
        for (int i = whole; i < columns; i++)
            y[i] = float.MultiplyAddEstimate((x[i] - mean - rest) * inverse, gamma[i], beta == null ? 0f : beta[i]);
    }

    /// <summary>The mean in two parts (rounded, and what is left of it), and 1 / √(var + ε).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (float Mean, float Remainder, float Inverse) Moments<V>(float* x, int columns, float epsilon) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(columns);
        float mean = Elementwise.Sum<V>(x, columns) / columns;

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
        return (mean, rest, 1f / MathF.Sqrt(variance + epsilon));
    }
}

/// <summary>How row-wise operations are cut for the thread team.</summary>
internal static class RowParts
{
    // About 16 K numbers a part: some microseconds of work, which is what handing a part to a thread must be worth.
    public const int Numbers = 16 * 1024;

    /// <summary>
    /// Columns of a part where each number sums over the rows: four cache lines of each row, enough to stream, few enough that every
    /// thread gets some.
    /// </summary>
    public const int Columns = 64;

    public static int ColumnParts(int columns) => (columns + Columns - 1) / Columns;

    /// <summary>Rows of a part, so that there are as many parts for every thread.</summary>
    public static int RowsPerPart(int rows, int columns, int threads)
    {
        threads = Math.Min(threads, Workers.Limit);
        long parts = ((long)rows * columns + Numbers - 1) / Numbers;
        if (parts > 1) parts = (parts + threads - 1) / threads * threads;
        return (int)Math.Max(1, (rows + parts - 1) / Math.Max(1, parts));
    }
}
