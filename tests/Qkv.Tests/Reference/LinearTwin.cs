namespace Qkv.Tests.Reference;

/// <summary>y = W·x + b for every row of x (T, inputs); W is (outputs, inputs).</summary>
internal static class LinearTwin
{
    public static double[] Forward(double[] x, double[] w, double[] b)
    {
        int outputs = b.Length, inputs = w.Length / outputs, rows = x.Length / inputs;
        var y = new double[rows * outputs];
        for (int row = 0; row < rows; row++)
            for (int output = 0; output < outputs; output++)
            {
                double sum = b[output];
                for (int input = 0; input < inputs; input++) sum += x[row * inputs + input] * w[output * inputs + input];
                y[row * outputs + output] = sum;
            }
        return y;
    }

    public static double[] Add(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];
}
