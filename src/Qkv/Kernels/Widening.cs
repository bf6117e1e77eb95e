using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Qkv.Kernels;

/// <summary>
/// Half-width numbers to float32, exactly. The source may be the upper half of the destination's own bytes: element i is
/// read before anything at or after it is overwritten, so widening needs no second buffer.
/// </summary>
internal static class Widening
{
    // Each is compiled at full strength at once, not after many calls: a program that embeds one text spends its time here.
    /// <summary>bfloat16 is float32 without its lower 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FromBFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        int i = 0;
        if (Vector.IsHardwareAccelerated)
        {
            for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
            {
                Vector.Widen(new Vector<ushort>(source[i..]), out Vector<uint> low, out Vector<uint> high);
                (low << 16).As<uint, float>().CopyTo(destination[i..]);
                (high << 16).As<uint, float>().CopyTo(destination[(i + Vector<uint>.Count)..]);
            }
        }

        for (; i < source.Length; i++)
        {
            destination[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
        }
    }

    /// <summary>IEEE half precision, infinities, NaN payloads and denormals included.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FromFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        int i = 0;
        if (Vector.IsHardwareAccelerated)
        {
            for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
            {
                Vector.Widen(new Vector<ushort>(source[i..]), out Vector<uint> low, out Vector<uint> high);
                Widen(low).CopyTo(destination[i..]);
                Widen(high).CopyTo(destination[(i + Vector<uint>.Count)..]);
            }
        }

        for (; i < source.Length; i++)
        {
            destination[i] = (float)BitConverter.UInt16BitsToHalf(source[i]);
        }
    }

    /// <summary>The source's place in the upper half of the destination's bytes.</summary>
    public static Span<ushort> UpperHalf(Span<float> destination) =>
        MemoryMarshal.Cast<float, ushort>(destination)[destination.Length..];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Widen(Vector<uint> half)
    {
        // The exponent's bias is 15 in half precision and 127 in single: 112 more.
        Vector<uint> rebias = new(112u << 23);
        Vector<uint> magnitude = half & new Vector<uint>(0x7fffu);
        Vector<uint> bits = (magnitude << 13) + rebias;

        // Exponent 31 means infinity or NaN and becomes 255, which is 112 more once again.
        bits += Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(0x7c00u)) & rebias;

        // A denormal has no leading one: give it the one of 2^-14, then subtract 2^-14; exact, and never a float32 denormal.
        Vector<float> smallest = new(BitConverter.UInt32BitsToSingle(113u << 23));
        Vector<uint> denormal = ((bits + new Vector<uint>(1u << 23)).As<uint, float>() - smallest).As<float, uint>();
        bits = Vector.ConditionalSelect(Vector.LessThan(magnitude, new Vector<uint>(0x0400u)), denormal, bits);
        return (bits | ((half & new Vector<uint>(0x8000u)) << 16)).As<uint, float>();
    }
}
