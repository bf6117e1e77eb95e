namespace Qkv.Tests.Reference;

/// <summary>bfloat16 by its definition: eight significant bits, with float32's exponents.</summary>
internal static class HalfWidth
{
    private const int SignificantBits = 8, SmallestExponent = -126;

    /// <summary>The nearest bfloat16, ties to even.</summary>
    public static double Round(double value)
    {
        if (value == 0 || !double.IsFinite(value)) return value;
        double step = Math.ScaleB(1, Math.Max(Math.ILogB(value), SmallestExponent) - (SignificantBits - 1));
        double rounded = Math.Round(value / step, MidpointRounding.ToEven) * step;
        return Math.Abs(rounded) < Math.ScaleB(1, 128) ? rounded : double.CopySign(double.PositiveInfinity, value);
    }
}
