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

    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Gelu(double x) => 0.5 * x * (1 + ErrorFunction.Erf(x / Math.Sqrt(2)));
}
