using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Qkv.Kernels;

/// <summary>The upper half of a float32: its sign, its exponent, and seven digits of its fraction.</summary>
internal static unsafe class BFloat16
{
    /// <summary>The nearest bfloat16, ties to even; NaN stays NaN.</summary>
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)(bits >> 16 | 0x40) : (ushort)(bits + 0x7fff + (bits >> 16 & 1) >> 16);
    }

    /// <summary>The float32 that it is the upper half of.</summary>
    public static float Widen(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    /// <summary><see cref="Round(float)"/> of sixteen numbers, in the lower halves of 32-bit lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Round(Vector512<float> value)
    {
        Vector512<uint> upper = Vector512.ShiftRightLogical(value.AsUInt32(), 16);
        return Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), RoundFinite(value), upper | Vector512.Create(0x40u));
    }

    /// <summary>The same where no number is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> RoundFinite(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32();
        return Vector512.ShiftRightLogical(bits + Vector512.Create(0x7fffu) + (Vector512.ShiftRightLogical(bits, 16) & Vector512.Create(1u)), 16);
    }

    /// <summary>Numbers two by two in 32 bits, those of <paramref name="lower"/> in the lower halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void RoundPairs(float* lower, float* upper, uint* pairs, int count)
    {
        int i = 0;
        for (; i + 4 <= count; i += 4) (Round(Vector128.Load(lower + i)) | Vector128.ShiftLeft(Round(Vector128.Load(upper + i)), 16)).Store(pairs + i);
        for (; i < count; i++) pairs[i] = Round(lower[i]) | (uint)Round(upper[i]) << 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Round(Vector128<float> value)
    {
        Vector128<uint> bits = value.AsUInt32(), upper = Vector128.ShiftRightLogical(bits, 16);
        Vector128<uint> finite = Vector128.ShiftRightLogical(bits + Vector128.Create(0x7fffu) + (upper & Vector128.Create(1u)), 16);
        return Vector128.ConditionalSelect(Vector128.Equals(value, value).AsUInt32(), finite, upper | Vector128.Create(0x40u));
    }

    /// <summary>Sixteen and sixteen numbers, one after the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> lower, Vector512<float> upper, ushort* destination) => Vector512.Narrow(Round(lower), Round(upper)).Store(destination);

    /// <summary>The same; a NaN becomes any number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreFinite(Vector512<float> lower, Vector512<float> upper, ushort* destination) => Vector512.Narrow(RoundFinite(lower), RoundFinite(upper)).Store(destination);

    /// <summary>A row of numbers, and zeros up to <paramref name="padded"/>.</summary>
    public static void Round(float* source, int count, ushort* destination, int padded)
    {
        int i = 0;
        for (; i + 32 <= count; i += 32) Store(Vector512.Load(source + i), Vector512.Load(source + i + 16), destination + i);
        for (; i < count; i++) destination[i] = Round(source[i]);
        for (; i < padded; i++) destination[i] = 0;
    }

    /// <summary>X (T, K) → (T, padded), <paramref name="yStride"/> numbers from row to row.</summary>
    public readonly struct Rows(float* x, nint xStride, int rows, int columns, ushort* y, int padded, nint yStride, int threads) : IKernel
    {
        private readonly float* _x = x;
        private readonly ushort* _y = y;
        private readonly int _rowsPerPart = RowParts.RowsPerPart(rows, columns, threads);

        public void Run() => Workers.Run(this, (rows + _rowsPerPart - 1) / _rowsPerPart, threads);

        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int end = Math.Min((part + 1) * _rowsPerPart, rows);
            for (int row = part * _rowsPerPart; row < end; row++) Round(_x + row * xStride, columns, _y + row * yStride, padded);
        }
    }
}
