namespace Qkv.Tests;

/// <summary>
/// When a float32 tensor is right, in the max norm: no further from the truth than twice what the reference implementation is
/// in float32, plus 1e-6 of the largest value. The truth is what the reference computes in double precision, or a plain
/// double-precision twin where it was not run; a twin must first agree with every double-precision reference to 1e-9.
/// </summary>
internal static class Exactness
{
    /// <summary>Our float32 numbers against the reference's.</summary>
    public static void Check(string name, ReadOnlySpan<float> ours, ReadOnlySpan<float> golden32, ReadOnlySpan<double> truth)
    {
        Assert.True(golden32.Length == truth.Length, $"{name}: {golden32.Length} float32 numbers, but {truth.Length} of the truth.");
        Within(name, ours, truth, (2 * Lost(golden32, truth) + 1e-6) * Largest(truth));
    }

    /// <summary>The largest error of float32 numbers, in parts of the largest number.</summary>
    public static double Lost(ReadOnlySpan<float> numbers, ReadOnlySpan<double> truth)
    {
        double lost = 0;
        for (int i = 0; i < truth.Length; i++) lost = Math.Max(lost, Distance(numbers[i], truth[i]));
        return lost / Largest(truth);
    }

    /// <summary>A double-precision twin against the reference in double precision.</summary>
    public static void CheckTwin(string name, ReadOnlySpan<double> twin, ReadOnlySpan<double> golden64)
    {
        Assert.True(twin.Length == golden64.Length, $"{name}: {twin.Length} numbers of the twin, but {golden64.Length} of the reference.");
        double bound = 1e-9 * Largest(golden64);
        for (int i = 0; i < twin.Length; i++)
            Assert.True(Distance(twin[i], golden64[i]) <= bound, $"{name}[{i}]: the twin gives {twin[i]:G17}, the reference {golden64[i]:G17}.");
    }

    /// <summary>Our float32 numbers within one bound of the truth.</summary>
    public static void Within(string name, ReadOnlySpan<float> ours, ReadOnlySpan<double> truth, double bound)
    {
        Assert.True(ours.Length == truth.Length, $"{name}: {ours.Length} numbers, but {truth.Length} expected.");
        for (int i = 0; i < truth.Length; i++) Within(name, i, ours[i], truth[i], bound);
    }

    /// <summary>One number within its own bound.</summary>
    public static void Within(string name, int i, float ours, double truth, double bound)
    {
        // Written so that NaN fails.
        if (!(Distance(ours, truth) <= bound)) Assert.Fail($"{name}[{i}] is {ours:G9}, but {truth:G9} within {bound:G3} is right.");
    }

    /// <summary>The largest finite magnitude, and at least 1.</summary>
    public static double Largest(ReadOnlySpan<double> truth)
    {
        double largest = 1;
        foreach (double value in truth)
            if (double.IsFinite(value)) largest = Math.Max(largest, Math.Abs(value));
        return largest;
    }

    // An infinity is right only where the truth is the same infinity.
    private static double Distance(double a, double b) => a == b ? 0 : Math.Abs(a - b);
}
