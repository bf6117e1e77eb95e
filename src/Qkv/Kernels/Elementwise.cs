using System.Numerics;
using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>Rows of numbers combined one by one, and their inner product.</summary>
internal static unsafe class Elementwise
{
    /// <summary>y = a + b over <paramref name="count"/> numbers; y may be a or b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add<V>(float* a, float* b, float* y, int count) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        for (int i = 0; i < whole; i += V.Width) (V.Load(a + i) + V.Load(b + i)).Store(y + i);
        for (int i = whole; i < count; i++) y[i] = a[i] + b[i];
    }

    /// <summary>y = a·b over <paramref name="count"/> numbers; y may be a or b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply<V>(float* a, float* b, float* y, int count) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        for (int i = 0; i < whole; i += V.Width) (V.Load(a + i) * V.Load(b + i)).Store(y + i);
        for (int i = whole; i < count; i++) y[i] = a[i] * b[i];
    }

    /// <summary>y = max(a, b) over <paramref name="count"/> numbers; y may be a or b. A NaN in a or b stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Max<V>(float* a, float* b, float* y, int count) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        for (int i = 0; i < whole; i += V.Width) V.Maximum(V.Load(a + i), V.Load(b + i)).Store(y + i);
        for (int i = whole; i < count; i++) y[i] = MathF.Max(a[i], b[i]);
    }

    /// <summary>x *= factor</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale<V>(float* x, int count, float factor) where V : struct, ISimd<V> => Scale<V>(x, count, factor, x);

    /// <summary>y = x·factor over <paramref name="count"/> numbers; y may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale<V>(float* x, int count, float factor, float* y) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        V f = V.Create(factor);
        for (int i = 0; i < whole; i += V.Width) (V.Load(x + i) * f).Store(y + i);
        for (int i = whole; i < count; i++) y[i] = x[i] * factor;
    }

    /// <summary>Rows of <paramref name="width"/> numbers from one distance between rows to another.</summary>
    // Rows are short: calling what copies long ones costs as much as copying.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void CopyRows<V>(float* source, nint sourceStride, float* destination, nint destinationStride, int rows, int width) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(width);
        for (int row = 0; row < rows; row++, source += sourceStride, destination += destinationStride)
        {
            for (int i = 0; i < whole; i += V.Width) V.Load(source + i).Store(destination + i);
            for (int i = whole; i < width; i++) destination[i] = source[i];
        }
    }

    /// <summary>Whether x has neither an infinity nor NaN: their difference from themselves is NaN, and 0 of every other number.</summary>
    // At the width that the runtime has, as widening, which comes before it where parameters are read: it is the same at every width.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool AreFinite(ReadOnlySpan<float> x)
    {
        int i = 0;
        float sum = 0f;
        if (Vector.IsHardwareAccelerated)
        {
            Vector<float> sums = default;
            for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                var numbers = new Vector<float>(x[i..]);
                sums += numbers - numbers;
            }
            sum = Vector.Sum(sums);
        }
        for (; i < x.Length; i++) sum += x[i] - x[i];
        return sum == 0f;
    }

    /// <summary>Σ x[i]</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum<V>(float* x, int count) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        V sums = V.Create(0f);
        for (int i = 0; i < whole; i += V.Width) sums += V.Load(x + i);
        float sum = V.Sum(sums);
        for (int i = whole; i < count; i++) sum += x[i];
        return sum;
    }

    /// <summary>Σ a[i]·b[i]</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Dot<V>(float* a, float* b, int count) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        V sums = V.Create(0f);
        for (int i = 0; i < whole; i += V.Width) sums = V.Fma(V.Load(a + i), V.Load(b + i), sums);
        float sum = V.Sum(sums);
        for (int i = whole; i < count; i++) sum = float.MultiplyAddEstimate(a[i], b[i], sum);
        return sum;
    }

    /// <summary>y += x·factor</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddScaled<V>(float* x, float factor, float* y, int count) where V : struct, ISimd<V>
    {
        int whole = Simd.Whole<V>(count);
        V f = V.Create(factor);
        for (int i = 0; i < whole; i += V.Width) V.Fma(V.Load(x + i), f, V.Load(y + i)).Store(y + i);
        for (int i = whole; i < count; i++) y[i] = float.MultiplyAddEstimate(x[i], factor, y[i]);
    }
}
