namespace Qkv.Tests.Reference;

/// <summary>erf x = 2/√π · ∫₀ˣ e^(−t²) dt to 1e-15, which .NET does not have.</summary>
internal static class ErrorFunction
{
    public static double Erf(double x) => double.IsNaN(x) ? x : Math.CopySign(Math.Abs(x) < 2 ? Series(Math.Abs(x)) : 1 - Complement(Math.Abs(x)), x);

    // 2/√π · e^(−x²) · Σ 2ⁿ·x^(2n+1) / (1·3·5·…·(2n+1)): nothing cancels.
    private static double Series(double x)
    {
        double sum = 0, term = x;
        for (int n = 1; sum + term != sum; n++)
        {
            sum += term;
            term *= 2 * x * x / (2 * n + 1);
        }
        return 2 / Math.Sqrt(Math.PI) * Math.Exp(-x * x) * sum;
    }

    // e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 1½/(x + …)))): a hundred levels are more than enough from 2 on.
    private static double Complement(double x)
    {
        double fraction = x;
        for (int n = 100; n > 0; n--) fraction = x + n / 2.0 / fraction;
        return Math.Exp(-x * x) / Math.Sqrt(Math.PI) / fraction;
    }
}
