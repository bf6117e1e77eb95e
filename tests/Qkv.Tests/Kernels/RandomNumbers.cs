namespace Qkv.Tests.Kernels;

/// <summary>Repeatable numbers.</summary>
internal static class RandomNumbers
{
    /// <summary>Normally distributed around 0.</summary>
    public static float[] Normal(Random random, int count, double scale = 1)
    {
        var numbers = new float[count];
        for (int i = 0; i < count; i++)
            numbers[i] = (float)(scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return numbers;
    }
}
