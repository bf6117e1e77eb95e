using Qkv.Kernels;

namespace Qkv.Encoders;

/// <summary>
/// The second half of a layer, token by token:
/// <code>intermediate = activation(W1·x + b1)  (T, I);  feed_forward = W2·intermediate + b2  (T, C)</code>
/// </summary>
internal sealed unsafe class FeedForward(Linear first, Linear second, Activation activation)
{
    public Linear First => first;

    public Linear Second => second;

    /// <summary>x (T, C) → intermediate (T, I), sum = feed_forward + x (T, C)</summary>
    public void Forward(float* x, int rows, in LayerActivations a, int threads)
    {
        if (a.PreActivation == null)
        {
            first.Forward(x, first.Inputs, rows, a.Intermediate, a.IntermediateStride, threads, activation);
        }
        else
        {
            first.Forward(x, rows, a.PreActivation, threads);
            ActivationFunctions.Apply(activation, a.PreActivation, a.Intermediate, (nint)rows * first.Outputs, threads);
        }
        Residual.Add(second, a.Intermediate, a.IntermediateStride, rows, x, a.FeedForward, a.OutputSum, a.FeedForwardDropout, threads);
    }

    /// <summary>
    /// Forward: intermediate = activation(W1·x + b1); sum = W2·intermediate + b2 + x. Backward: dsum (T, C) → dx (T, C), the
    /// residual's share included; what dsum held is lost.
    /// </summary>
    public void Backward(float* x, int rows, in LayerActivations a, in LayerGradients g, float* dsum, float* dx, int threads)
    {
        Residual.Backward(second, a.Intermediate, rows, dsum, g.Intermediate, dx, a.FeedForwardDropout, threads);
        ActivationFunctions.Backward(activation, a.PreActivation, g.Intermediate, g.Intermediate, (nint)rows * first.Outputs, threads);
        first.Backward(x, rows, g.Intermediate, dx, add: true, threads);
    }
}

/// <summary>A linear map with the residual around it, and dropout before they meet.</summary>
internal static unsafe class Residual
{
    /// <summary>
    /// sum = dropout(W·x + b) + residual. Where the mapped rows are recorded they are kept first and the residual is added after all of
    /// K, not after its first block: the same sum in another order.
    /// </summary>
    public static void Add(Linear linear, float* x, nint xStride, int rows, float* residual, float* mapped, float* sum, in Dropout dropout, int threads)
    {
        if (dropout.IsOn)
        {
            linear.Forward(x, xStride, rows, sum, linear.Outputs, threads);
            dropout.Apply(sum, rows, linear.Outputs, threads, residual);
            return;
        }
        if (mapped == null)
        {
            linear.Forward(x, xStride, rows, sum, linear.Outputs, threads, residual: residual);
            return;
        }
        linear.Forward(x, xStride, rows, mapped, linear.Outputs, threads);
        for (nint i = 0; i < (nint)rows * linear.Outputs; i++) sum[i] = mapped[i] + residual[i];
    }

    /// <summary>Forward: sum = dropout(W·x + b) + residual. Backward: dsum → dx, dresidual; what dsum held is lost.</summary>
    public static void Backward(Linear linear, float* x, int rows, float* dsum, float* dx, float* dresidual, in Dropout dropout, int threads)
    {
        new ReadOnlySpan<float>(dsum, rows * linear.Outputs).CopyTo(new Span<float>(dresidual, rows * linear.Outputs));
        dropout.Apply(dsum, rows, linear.Outputs, threads);
        linear.Backward(x, rows, dsum, dx, add: false, threads);
    }
}
