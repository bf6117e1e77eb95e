using System.Runtime.InteropServices;

namespace Qkv.Tests;

/// <summary>Equality to the last bit.</summary>
internal static class Bits
{
    public static void Equal(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        ReadOnlySpan<int> left = MemoryMarshal.Cast<float, int>(expected), right = MemoryMarshal.Cast<float, int>(actual);
        int same = left.CommonPrefixLength(right);
        if (same < left.Length) Assert.Fail($"Number {same} of {left.Length} is {actual[same]:G9} where {expected[same]:G9} was expected, to the last bit.");
    }
}
