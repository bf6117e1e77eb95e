namespace Qkv.Tests.Reference;

/// <summary>y = exp(x) / Σ exp(x) for every row of x (T, C); a row of nothing but −∞ gives zeros.</summary>
internal static class SoftmaxTwin
{
    public static double[] Forward(double[] x, int columns) => [.. x.Chunk(columns).SelectMany(row =>
    {
        double max = row.Max();
        if (double.IsNegativeInfinity(max)) return new double[columns];
        double[] exponentials = [.. row.Select(value => Math.Exp(value - max))];
        double sum = exponentials.Sum();
        return exponentials.Select(value => value / sum);
    })];
}
