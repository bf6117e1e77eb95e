namespace Qkv.Tests.Reference;

/// <summary>
/// int8 products by their definition: parameters per output feature, symmetric, activations per row with a zero point, sums in 64 bits. The scales and
/// the quotients are float32, as the definition has them; what follows the sums is exact.
/// </summary>
internal static class QuantizedTwin
{
    private const float Smallest = 1e-35f;

    // Half of 128, less what two quotients and their sum may be rounded by.
    private const float LargestHalf = 64 - 1f / 65536;

    /// <summary>w ≈ scale·q, q from −127 to 127, neighbours from −128 to 128 together.</summary>
    public static (float Scale, int[] Q) Parameters(ReadOnlySpan<float> w)
    {
        float largest = 0;
        foreach (float number in w) largest = Math.Max(largest, Math.Abs(number));
        if (!float.IsFinite(largest)) return (float.NaN, new int[w.Length]);
        float scale = Math.Max(largest / 127, Smallest);
        for (int i = 1; i < w.Length; i += 2) scale = Math.Max(scale, Math.Abs(w[i - 1] / 2 + w[i] / 2) / LargestHalf);
        return (scale, [.. w.ToArray().Select(number => (int)Math.Clamp(MathF.Round(number / scale), -127, 127))]);
    }

    /// <summary>x ≈ scale·(q − zero), q from 0 to 255.</summary>
    public static (float Scale, int Zero, int[] Q) Inputs(ReadOnlySpan<float> x)
    {
        float most = 0, least = 0;
        foreach (float number in x) (most, least) = (Math.Max(most, number), Math.Min(least, number));
        float range = most / 255 - least / 255;
        if (!float.IsFinite(range)) return (float.NaN, 0, new int[x.Length]);
        float scale = Math.Max(range, Smallest), inverse = 1 / scale, zero = Math.Min(MathF.Round(-least * inverse), 255);
        return (scale, (int)zero, [.. x.ToArray().Select(number => (int)Math.Clamp(MathF.Round(number * inverse) + zero, 0, 255))]);
    }

    /// <summary>y = W·x + b for every row of x (T, inputs), and how large the numbers are that are added.</summary>
    public static (double[] Y, double[] Magnitude) Forward(float[] x, float[] w, float[] b)
    {
        int outputs = b.Length, inputs = w.Length / outputs, rows = x.Length / inputs;
        double[] y = new double[rows * outputs], magnitude = new double[y.Length];
        (float Scale, int[] Q)[] columns = [.. Enumerable.Range(0, outputs).Select(output => Parameters(w.AsSpan(output * inputs, inputs)))];
        for (int row = 0; row < rows; row++)
        {
            (float scale, int zero, int[] q) = Inputs(x.AsSpan(row * inputs, inputs));
            for (int output = 0; output < outputs; output++)
            {
                long sum = 0;
                for (int i = 0; i < inputs; i++) sum += (long)(q[i] - zero) * columns[output].Q[i];
                double product = (double)scale * columns[output].Scale * sum;
                y[row * outputs + output] = product + b[output];
                magnitude[row * outputs + output] = Math.Abs(product) + Math.Abs(b[output]);
            }
        }
        return (y, magnitude);
    }
}
