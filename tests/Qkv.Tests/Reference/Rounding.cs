using Qkv.Kernels;

namespace Qkv.Tests.Reference;

/// <summary>
/// How far float32 arithmetic may be from exact arithmetic, derived from the format (Higham, Accuracy and Stability of Numerical
/// Algorithms, chapter 3), for shapes that nobody else has computed.
/// </summary>
internal static class Rounding
{
    /// <summary>u: the largest relative error of one float32 operation.</summary>
    public const double Unit = 1.0 / (1 << 24);

    /// <summary>The largest errors that <c>Functions</c> states: relative for exp, tanh and the sigmoid, absolute for erf.</summary>
    public const double Exp = 4 * Unit, Erf = 3.5e-7, Tanh = 1.5e-7, Sigmoid = 2.4e-7;

    /// <summary>γₙ: the relative error of n operations one after the other, as of a sum of n products, in any order, over Σ|a·b|.</summary>
    public static double Gamma(int operations) => operations * Unit / (1 - operations * Unit);

    /// <summary>|activation(x̃) − activation(x)| in float32, where x̃ is <paramref name="error"/> from x at most.</summary>
    public static double Activation(Activation activation, double x, double error)
    {
        double y = Math.Abs(ActivationTwin.Forward(activation, x)), magnitude = Math.Abs(x);
        double slope = activation switch
        {
            Qkv.Kernels.Activation.Relu2 => 2 * (magnitude + error),
            // The steepest is GELU: 1.129 at √2.
            _ => 1.13,
        };
        // Errors of arguments count with |z·f'(z)|, which is below ½ for erf and below ¼ for the sigmoid.
        double own = activation switch
        {
            Qkv.Kernels.Activation.Linear or Qkv.Kernels.Activation.Relu or Qkv.Kernels.Activation.Relu2 or Qkv.Kernels.Activation.Relu6 => Unit * y,
            Qkv.Kernels.Activation.Gelu or Qkv.Kernels.Activation.Gelu10 => magnitude * (0.5 * Erf + 2 * Unit) + 4 * Unit * y,
            Qkv.Kernels.Activation.Tanh => Tanh * y,
            Qkv.Kernels.Activation.Sigmoid => Sigmoid * y + Unit * Unit,
            Qkv.Kernels.Activation.Mish => (2 * Exp + 8 * Unit) * y,
            _ => magnitude * 2 * Unit + (Sigmoid + 4 * Unit) * y,
        };
        return slope * error + own;
    }

    /// <summary>
    /// The error of one query's scores, and of its weights relative to their own size, for a query and a head.
    /// </summary>
    /// <param name="scores">The exact scores.</param>
    /// <param name="products">Σ|q·k|/√D + |additive| of each key.</param>
    /// <param name="weights">The exact weights.</param>
    /// <param name="headSize">D</param>
    public static (double[] Scores, double[] Weights) Attention(ReadOnlySpan<double> scores, ReadOnlySpan<double> products, ReadOnlySpan<double> weights, int headSize)
    {
        double[] score = new double[scores.Length], relative = new double[scores.Length];
        double max = double.NegativeInfinity, mean = 0;
        foreach (double value in scores) max = Math.Max(max, value);
        for (int i = 0; i < scores.Length; i++)
        {
            if (double.IsNegativeInfinity(scores[i])) continue;
            // D products, the factor 1/√D (itself rounded twice) and the mask.
            score[i] = Gamma(headSize + 4) * products[i];
            // A weight is e^(s − max): an absolute error of s is a relative one of the weight; the difference is rounded as well,
            // once more for each time that the online softmax moves its maximum (twice for every tile of 256 keys).
            relative[i] = 1.01 * (score[i] + 2 * Unit * (max - scores[i]) + Exp + Gamma(4 + scores.Length / 64));
            mean += relative[i] * weights[i];
        }
        // The sum of the weights errs as their mean does, and by its own additions.
        for (int i = 0; i < relative.Length; i++) relative[i] += mean + Gamma(scores.Length + 8);
        return (score, relative);
    }
}
