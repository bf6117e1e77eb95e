using System.Numerics;
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

    /// <summary>d/dx of the same, in the arithmetic of <typeparamref name="T"/>.</summary>
    public static T Derivative<T>(Activation activation, T x) where T : struct, IFloatingPointIeee754<T>
    {
        T one = T.One, two = N(2);
        return activation switch
        {
            Activation.Linear => one,
            Activation.Gelu => GeluSlope(),
            Activation.GeluTanh => TanhSlope(T.Tanh(N(Math.Sqrt(2 / Math.PI)) * (x + N(0.044715) * x * x * x)), N(Math.Sqrt(2 / Math.PI)) * (one + N(3 * 0.044715) * x * x)),
            Activation.Gelu10 => Math.Abs(Gelu(double.CreateTruncating(x))) < 10 ? GeluSlope() : T.Zero,
            Activation.QuickGelu => SwishSlope(N(1.702)),
            Activation.Relu => x > T.Zero ? one : T.Zero,
            Activation.Relu2 => two * T.Max(x, T.Zero),
            Activation.Relu6 => x > T.Zero && x < N(6) ? one : T.Zero,
            Activation.Sigmoid => Logistic(x) * (one - Logistic(x)),
            Activation.Silu => SwishSlope(one),
            Activation.Tanh => one - T.Tanh(x) * T.Tanh(x),
            Activation.Mish => MishSlope(T.Tanh(x > N(30) ? x : T.Log(one + T.Exp(x)))),
            _ => throw new ArgumentOutOfRangeException(nameof(activation)),
        };

        static T N(double number) => T.CreateTruncating(number);
        static T Logistic(T z) => T.One / (T.One + T.Exp(-z));
        T GeluSlope() => N(0.5) * (one + N(ErrorFunction.Erf(double.CreateTruncating(x / T.Sqrt(two))))) + x * T.Exp(-x * x / two) / N(Math.Sqrt(2 * Math.PI));
        T TanhSlope(T t, T inner) => N(0.5) * (one + t) + N(0.5) * x * (one - t * t) * inner; // ½x(1 + t)
        T SwishSlope(T a) => Logistic(a * x) + a * x * Logistic(a * x) * (one - Logistic(a * x)); // x·σ(ax)
        T MishSlope(T t) => t + x * (one - t * t) * Logistic(x); // x·t
    }

    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Gelu(double x) => 0.5 * x * (1 + ErrorFunction.Erf(x / Math.Sqrt(2)));
}
