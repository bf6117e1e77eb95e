using Qkv.Kernels;

namespace Qkv.Tests.Reference;

/// <summary>The activation functions by their definitions.</summary>
internal static class ActivationTwin
{
    public static double[] Forward(Activation activation, double[] x) => [.. x.Select(value => Forward(activation, value))];

    public static double Forward(Activation activation, double x) => activation switch
    {
        Activation.Linear => x,
        Activation.Gelu => Gelu(x),
        Activation.GeluTanh => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
        Activation.Gelu10 => Math.Clamp(Gelu(x), -10, 10),
        Activation.QuickGelu => x * Sigmoid(1.702 * x),
        Activation.Relu => Math.Max(x, 0),
        Activation.Relu2 => Math.Max(x, 0) * Math.Max(x, 0),
        Activation.Relu6 => Math.Clamp(x, 0, 6),
        Activation.Sigmoid => Sigmoid(x),
        Activation.Silu => x * Sigmoid(x),
        Activation.Tanh => Math.Tanh(x),
        Activation.Mish => x * Math.Tanh(x > 30 ? x : Math.Log(1 + Math.Exp(x))),
        _ => throw new ArgumentOutOfRangeException(nameof(activation)),
    };

    /// <summary>d/dx of the same.</summary>
    public static double Derivative(Activation activation, double x)
    {
        double s = Sigmoid(x), u = Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)), quick = Sigmoid(1.702 * x), softplus = Math.Tanh(x > 30 ? x : Math.Log(1 + Math.Exp(x)));
        double gelu = 0.5 * (1 + ErrorFunction.Erf(x / Math.Sqrt(2))) + x * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI);
        return activation switch
        {
            Activation.Linear => 1,
            Activation.Gelu => gelu,
            Activation.GeluTanh => 0.5 * (1 + u) + 0.5 * x * (1 - u * u) * Math.Sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x),
            Activation.Gelu10 => Math.Abs(Gelu(x)) < 10 ? gelu : 0,
            Activation.QuickGelu => quick + 1.702 * x * quick * (1 - quick),
            Activation.Relu => x > 0 ? 1 : 0,
            Activation.Relu2 => 2 * Math.Max(x, 0),
            Activation.Relu6 => x is > 0 and < 6 ? 1 : 0,
            Activation.Sigmoid => s * (1 - s),
            Activation.Silu => s + x * s * (1 - s),
            Activation.Tanh => 1 - Math.Tanh(x) * Math.Tanh(x),
            Activation.Mish => softplus + x * (1 - softplus * softplus) * s,
            _ => throw new ArgumentOutOfRangeException(nameof(activation)),
        };
    }

    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Gelu(double x) => 0.5 * x * (1 + ErrorFunction.Erf(x / Math.Sqrt(2)));
}
