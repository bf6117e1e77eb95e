namespace Qkv.Bench.Peers;

internal static class Differences
{
    /// <summary>The largest difference of two outputs; NaN where there is one in either.</summary>
    public static double Largest(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        float largest = 0;
        for (int i = 0; i < a.Length; i++) largest = MathF.Max(largest, MathF.Abs(a[i] - b[i]));
        return largest;
    }
}
