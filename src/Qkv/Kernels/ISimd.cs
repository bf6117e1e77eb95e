using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Qkv.Kernels;

/// <summary>
/// A vector of float32 as wide as the machine (or the caller) allows. A kernel states its formula once, over
/// <typeparamref name="TSelf"/>; the runtime compiles it for every width it is used at, and the wrapper costs nothing.
/// Elementwise arithmetic gives the same bits at every width that has FMA, so a row's tail may run as <see cref="Scalar"/>.
/// </summary>
internal unsafe interface ISimd<TSelf> where TSelf : struct, ISimd<TSelf>
{
    /// <summary>Number of float32 lanes.</summary>
    static abstract int Width { get; }

    static abstract TSelf Create(float value);
    static abstract TSelf Load(float* source);
    void Store(float* destination);

    /// <summary>Widens the bfloat16 numbers in the lower halves of 32-bit lanes.</summary>
    static abstract TSelf WidenLower(uint* pairs);

    /// <summary>Widens those in the upper halves.</summary>
    static abstract TSelf WidenUpper(uint* pairs);

    /// <summary>a − b·factor in int32, which wraps, then to the nearest float32.</summary>
    static abstract TSelf Difference(int* a, int* b, int factor);

    /// <summary>Stores integers from 0 to 255 as bytes, or from -128 to 127 as such with a sign.</summary>
    void StoreBytes(byte* destination);

    static abstract TSelf operator +(TSelf a, TSelf b);
    static abstract TSelf operator -(TSelf a, TSelf b);
    static abstract TSelf operator *(TSelf a, TSelf b);
    static abstract TSelf operator /(TSelf a, TSelf b);

    /// <summary>a·b + c, with one rounding where the processor has FMA and two where it has not.</summary>
    static abstract TSelf Fma(TSelf a, TSelf b, TSelf c);
    static abstract TSelf Min(TSelf a, TSelf b);
    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary>The larger, and NaN where a or b is one (which Min and Max leave to the processor).</summary>
    static abstract TSelf Maximum(TSelf a, TSelf b);
    static abstract TSelf Abs(TSelf a);
    static abstract TSelf Sqrt(TSelf a);

    /// <summary>Lane by lane: a &lt; b ? whenLess : otherwise. A NaN in a or b takes <paramref name="otherwise"/>.</summary>
    static abstract TSelf WhereLess(TSelf a, TSelf b, TSelf whenLess, TSelf otherwise);

    /// <summary>Magnitude of <paramref name="magnitude"/>, sign of <paramref name="sign"/>.</summary>
    static abstract TSelf CopySign(TSelf magnitude, TSelf sign);

    /// <summary>The nearest integer, ties to even.</summary>
    static abstract TSelf Round(TSelf a);

    /// <summary>a·2ⁿ for an integral n, by adding n to the exponent: a and the result must be normal numbers. NaN stays NaN.</summary>
    static abstract TSelf Scale(TSelf a, TSelf n);

    /// <summary>Sum of the lanes, in one fixed order.</summary>
    static abstract float Sum(TSelf a);
    static abstract float MaxLane(TSelf a);
}

/// <summary>Loops shared by all kernels that walk a row.</summary>
internal static unsafe class Simd
{
    /// <summary>The first index that whole vectors of <typeparamref name="V"/> do not cover in a row of <paramref name="count"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Whole<V>(int count) where V : struct, ISimd<V> => count & -V.Width;

    /// <summary>Fetches a cache line into the second cache where the processor can; an address that nobody owns does no harm.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(void* address)
    {
        if (Sse.IsSupported) Sse.Prefetch1(address);
    }

    /// <summary>destination[i] = operation(source[i]) for rows of <paramref name="count"/> numbers; in place is allowed.</summary>
    // On its own, so that only the operation that is used is compiled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Map<V, TOperation>(float* source, nint sourceStride, float* destination, nint destinationStride, int rows, int count)
        where V : struct, ISimd<V> where TOperation : struct, IMap
    {
        // Enough rows ahead to bridge the way to memory, where rows lie so far apart that no processor foresees the next one.
        const int rowsAhead = 12;
        int whole = Whole<V>(count);
        for (int row = 0; row < rows; row++, source += sourceStride, destination += destinationStride)
        {
            for (int i = 0; i < whole; i += V.Width)
            {
                Prefetch(destination + rowsAhead * destinationStride + i);
                TOperation.Apply(V.Load(source + i)).Store(destination + i);
            }
            for (int i = whole; i < count; i++) TOperation.Apply(Scalar.Load(source + i)).Store(destination + i);
        }
    }
}

/// <summary>An elementwise function y = f(x), stated once for every width.</summary>
internal interface IMap
{
    static abstract V Apply<V>(V x) where V : struct, ISimd<V>;
}
