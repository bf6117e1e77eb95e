using Qkv.Kernels;

namespace Qkv.Encoders;

/// <summary>The parameters of a linear map as PyTorch stores them: W (outputs, inputs) and b (outputs), which may be empty.</summary>
public readonly ref struct LinearParameters(ReadOnlySpan<float> w, ReadOnlySpan<float> b)
{
    /// <summary>W (outputs, inputs), row by row.</summary>
    public ReadOnlySpan<float> W { get; } = w;

    /// <summary>b (outputs), or empty for zero.</summary>
    public ReadOnlySpan<float> B { get; } = b;
}

/// <summary>
/// One linear map, or several of the same input joined into one product: y = W·x + b, with parameters packed for the processor.
/// Immutable and safe to call from many threads.
/// </summary>
public sealed unsafe class Linear
{
    /// <summary>Packs a linear map.</summary>
    /// <param name="inputs">Features of x.</param>
    /// <param name="outputs">Features of y.</param>
    /// <param name="parameters">W (outputs, inputs) and b (outputs).</param>
    /// <exception cref="ArgumentException">The parameters do not have these sizes.</exception>
    public Linear(int inputs, int outputs, LinearParameters parameters)
    {
        Matrix = Empty(1, inputs, outputs);
        Pack(0, nameof(parameters), parameters);
    }

    internal Linear(PackedMatrix matrix) => Matrix = matrix;

    /// <summary>Features of x.</summary>
    public int Inputs => Matrix.Inner;

    /// <summary>Features of y.</summary>
    public int Outputs => Matrix.Maps * Matrix.Columns;

    internal PackedMatrix Matrix { get; }

    /// <summary>y (T, outputs) = activation(W·x + b) for every row of x (T, inputs).</summary>
    /// <exception cref="ArgumentException">The lengths do not fit together, or there is no such activation.</exception>
    public void Forward(ReadOnlySpan<float> x, Span<float> y, Activation activation = Activation.Linear)
    {
        if (x.Length % Inputs != 0)
            throw new ArgumentException($"{nameof(Linear)}: x holds {x.Length:N0} numbers, which is no multiple of the {Inputs} input features.", nameof(x));
        ActivationFunctions.CheckNamed(nameof(Linear), activation);
        int rows = x.Length / Inputs;
        Check.Length(nameof(Linear), nameof(y), (long)rows * Outputs, y.Length);
        fixed (float* source = x, destination = y)
            MatMul.Forward(source, Inputs, rows, Matrix, destination, Outputs, Workers.Limit, activation);
    }

    internal static PackedMatrix Empty(int maps, int inputs, int outputs)
    {
        Check.Positive(nameof(Linear), nameof(inputs), inputs);
        Check.Positive(nameof(Linear), nameof(outputs), outputs);
        return new PackedMatrix(maps, outputs, inputs);
    }

    internal void Pack(int map, string name, LinearParameters parameters)
    {
        Check.Length(nameof(Linear), $"{name}.W", (long)Matrix.Columns * Matrix.Inner, parameters.W.Length);
        if (!parameters.B.IsEmpty) Check.Length(nameof(Linear), $"{name}.B", Matrix.Columns, parameters.B.Length);
        Matrix.Set(map, parameters.W, parameters.B);
    }

    /// <summary>y = activation(W·x + b) [+ residual] over contiguous rows.</summary>
    internal void Forward(float* x, int rows, float* y, int threads, Activation activation = Activation.Linear, float* residual = null) =>
        Forward(x, Inputs, rows, y, Outputs, threads, activation, residual);

    /// <summary>The same over rows any distance apart, but for those of the residual.</summary>
    internal void Forward(float* x, nint xStride, int rows, float* y, nint yStride, int threads, Activation activation = Activation.Linear, float* residual = null) =>
        MatMul.Forward(x, xStride, rows, Matrix, y, yStride, threads, activation, residual, Outputs);

    /// <summary>W and b of each joined map, while they are trained.</summary>
    internal (Parameter W, Parameter B)[] Learned { get; init; } = [];

    /// <summary>
    /// Forward: y = W·x + b. Backward: dx [+]= dy·W, dW += dyᵀ·x, db += Σ dy. <paramref name="dx"/> may be null where nobody asks for it;
    /// a frozen W or b gets no gradient.
    /// </summary>
    internal void Backward(float* x, int rows, float* dy, float* dx, bool add, int threads)
    {
        int columns = Matrix.Columns;
        for (int map = 0; map < Learned.Length; map++)
        {
            (Parameter w, Parameter b) = Learned[map];
            float* part = dy + map * columns;
            MatMul.BackwardParameters(part, Outputs, x, Inputs, rows, columns, Inputs, w.GradientOrNull, b.GradientOrNull, threads);
            if (dx != null) MatMul.BackwardInput(part, Outputs, rows, w.Value.Pointer, columns, Inputs, dx, Inputs, add || map > 0, threads);
        }
    }

    /// <summary>Packs the parameters again after a step has changed them.</summary>
    internal void Refresh()
    {
        for (int map = 0; map < Learned.Length; map++) Matrix.Set(map, Learned[map].W.Value.Span, Learned[map].B.Value.Span);
    }
}
