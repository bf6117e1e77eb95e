using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>Sums of rows.</summary>
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
}
