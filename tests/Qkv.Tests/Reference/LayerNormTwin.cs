namespace Qkv.Tests.Reference;

/// <summary>y = (x − mean) / √(variance + ε) · γ + β for every row of x (T, C).</summary>
internal static class LayerNormTwin
{
    public static double[] Forward(double[] x, double[] gamma, double[] beta, double epsilon)
    {
        int columns = gamma.Length;
        return [.. x.Chunk(columns).SelectMany(row =>
        {
            double mean = row.Average(), variance = row.Average(value => (value - mean) * (value - mean));
            return row.Select((value, i) => (value - mean) / Math.Sqrt(variance + epsilon) * gamma[i] + beta[i]);
        })];
    }
}
