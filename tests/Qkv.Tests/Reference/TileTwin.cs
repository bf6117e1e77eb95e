namespace Qkv.Tests.Reference;

/// <summary>What the instructions of the machine tiles do to one element, by their specifications.</summary>
internal static class TileTwin
{
    // The smallest float32 that is not denormal.
    private static readonly float s_smallest = MathF.ScaleB(1, -126);

    /// <summary>
    /// <c>vdpbf16ps</c>: sum + odd product, then + even product, each fused (one rounding, to nearest even). What is denormal counts as zero, before and after;
    /// a result is denormal when, rounded as if exponents had no end, it is smaller than 2⁻¹²⁶. The control register has no say.
    /// </summary>
    public static float BFloat16(float sum, ushort evenA, ushort oddA, ushort evenB, ushort oddB) =>
        MultiplyAdd(MultiplyAdd(sum, Widen(oddA), Widen(oddB)), Widen(evenA), Widen(evenB));

    /// <summary>
    /// <c>tdpbf16ps</c>: sum + (even products + odd products), each of these two summed by itself from zero as <c>vdpbf16ps</c> does, up to 16 of each. Denormals and
    /// the control register as there.
    /// </summary>
    public static float AmxBFloat16(float sum, ReadOnlySpan<ushort> a, ReadOnlySpan<ushort> b)
    {
        float even = 0, odd = 0;
        for (int i = 0; i < a.Length; i += 2)
        {
            even = MultiplyAdd(even, Widen(a[i]), Widen(b[i]));
            odd = MultiplyAdd(odd, Widen(a[i + 1]), Widen(b[i + 1]));
        }
        return Flush(Flush(sum) + Flush(even + odd));
    }

    /// <summary><c>vpdpbusd</c>, <c>tdpbusd</c> in any order, and what <c>vpmaddubsw</c>, <c>vpmaddwd</c> and <c>vpaddd</c> make where nothing saturates: products of unsigned and signed bytes, and their sum modulo 2³².</summary>
    public static int Int8(int sum, ReadOnlySpan<byte> a, ReadOnlySpan<sbyte> b)
    {
        for (int i = 0; i < a.Length; i++) sum = unchecked(sum + a[i] * b[i]);
        return sum;
    }

    private static float MultiplyAdd(float sum, float x, float y)
    {
        sum = Flush(sum);
        float result = MathF.FusedMultiplyAdd(x, y, sum);
        if (MathF.Abs(result) > s_smallest || float.IsNaN(result)) return result;
        // 2⁶⁴ times as large, nothing that can reach 2⁻¹²⁶ is rounded as a denormal.
        float scaled = MathF.FusedMultiplyAdd(MathF.ScaleB(x, 32), MathF.ScaleB(y, 32), MathF.ScaleB(sum, 64));
        return MathF.Abs(scaled) < MathF.ScaleB(s_smallest, 64) ? MathF.CopySign(0, result) : result;
    }

    private static float Widen(ushort number) => Flush(BitConverter.UInt32BitsToSingle((uint)number << 16));

    private static float Flush(float value) => MathF.Abs(value) < s_smallest ? MathF.CopySign(0, value) : value;
}
