namespace Qkv.Tests.Reference;

/// <summary>Two int8 that are multiplied beside each other, as panels have them: of one sign they add up to ±128 at most.</summary>
internal static class Int8Pairs
{
    private static readonly sbyte[][] s_farthest = [[64, 64], [-64, -64], [127, 1], [-1, -127], [127, -127], [-127, 127]];

    public static sbyte[] Draw(Random random, bool extreme)
    {
        if (extreme) return s_farthest[random.Next(s_farthest.Length)];
        int first = random.Next(-127, 128);
        return [(sbyte)first, (sbyte)random.Next(Math.Max(-127, -128 - first), Math.Min(127, 128 - first) + 1)];
    }
}
