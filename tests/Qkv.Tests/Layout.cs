namespace Qkv.Tests;

/// <summary>Ways to lay out the same numbers.</summary>
internal static class Layout
{
    /// <summary>(B, L, H·D) → (B, H, L, D)</summary>
    public static T[] SplitHeads<T>(T[] rows, int length, int heads, int headSize) => Swap(rows, length, heads, headSize);

    /// <summary>(B, H, L, D) → (B, L, H·D)</summary>
    public static T[] JoinHeads<T>(T[] rows, int length, int heads, int headSize) => Swap(rows, heads, length, headSize);

    /// <summary>Scores that hide a key by float32's lowest value → −∞, so that they do not stretch the scale of a comparison.</summary>
    public static double[] HideKeys(double[] scores) => [.. scores.Select(score => score < -1e38 ? double.NegativeInfinity : score)];

    // (B, outer, inner, size) → (B, inner, outer, size)
    private static T[] Swap<T>(T[] source, int outer, int inner, int size)
    {
        var result = new T[source.Length];
        for (int row = 0; row < source.Length / size; row++)
        {
            int batch = row / (outer * inner), i = row / inner % outer, j = row % inner;
            Array.Copy(source, row * size, result, ((batch * inner + j) * outer + i) * size, size);
        }
        return result;
    }
}
