namespace Qkv.Training;

/// <summary>How well two rows of numbers rise and fall together, −1 … 1; 0 where one of them does neither.</summary>
internal static class Correlation
{
    /// <summary>Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)²·Σ (y − ȳ)²)</summary>
    public static double Pearson(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        double meanX = x.DefaultIfEmpty().Average(), meanY = y.DefaultIfEmpty().Average(), xy = 0, xx = 0, yy = 0;
        for (int i = 0; i < x.Count; i++)
        {
            double dx = x[i] - meanX, dy = y[i] - meanY;
            (xy, xx, yy) = (xy + dx * dy, xx + dx * dx, yy + dy * dy);
        }
        return xx > 0 && yy > 0 ? xy / Math.Sqrt(xx * yy) : 0;
    }

    /// <summary>Pearson's of the ranks; equal numbers share the mean of their ranks.</summary>
    public static double Spearman(IReadOnlyList<double> x, IReadOnlyList<double> y) => Pearson(Ranks(x), Ranks(y));

    private static double[] Ranks(IReadOnlyList<double> numbers)
    {
        int[] order = [.. Enumerable.Range(0, numbers.Count).OrderBy(i => numbers[i])];
        var ranks = new double[order.Length];
        for (int start = 0, end; start < order.Length; start = end)
        {
            for (end = start + 1; end < order.Length && numbers[order[end]] == numbers[order[start]];) end++;
            for (int i = start; i < end; i++) ranks[order[i]] = (start + end - 1) / 2.0;
        }
        return ranks;
    }
}
