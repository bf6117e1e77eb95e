using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>One lane: the tails of rows, and processors without vectors.</summary>
internal readonly unsafe struct Scalar(float value) : ISimd<Scalar>
{
    private readonly float _value = value;

    public static int Width => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Create(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Load(float* source) => new(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* destination) => *destination = _value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar WidenLower(uint* pairs) => new(BitConverter.UInt32BitsToSingle(*pairs << 16));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar WidenUpper(uint* pairs) => new(BitConverter.UInt32BitsToSingle(*pairs & 0xffff0000u));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Difference(int* a, int* b, int factor) => new(*a - *b * factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreBytes(byte* destination) => *destination = (byte)(int)_value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar operator +(Scalar a, Scalar b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar operator -(Scalar a, Scalar b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar operator *(Scalar a, Scalar b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar operator /(Scalar a, Scalar b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Fma(Scalar a, Scalar b, Scalar c) => new(float.MultiplyAddEstimate(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Min(Scalar a, Scalar b) => new(float.MinNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Max(Scalar a, Scalar b) => new(float.MaxNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Maximum(Scalar a, Scalar b) => new(MathF.Max(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Sqrt(Scalar a) => new(float.Sqrt(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Abs(Scalar a) => new(float.Abs(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar WhereLess(Scalar a, Scalar b, Scalar whenLess, Scalar otherwise) => a._value < b._value ? whenLess : otherwise;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar CopySign(Scalar magnitude, Scalar sign) => new(float.CopySign(magnitude._value, sign._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Round(Scalar a) => new(float.Round(a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Scalar Scale(Scalar a, Scalar n) =>
        new(BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(a._value) + ((int)n._value << 23)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Scalar a) => a._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Scalar a) => a._value;
}
