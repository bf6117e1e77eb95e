using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// How a panel (K, W) holds its numbers. The register tile takes 2·Width neighbours of a row as two vectors; a format may put them in any order
/// that makes this cheap.
/// </summary>
internal unsafe interface IPanel
{
    /// <summary>Bytes of a number.</summary>
    static abstract int Size { get; }

    /// <summary>Numbers 0 … Width of the 2·Width at <paramref name="numbers"/>.</summary>
    static abstract V Left<V>(byte* numbers) where V : struct, ISimd<V>;

    /// <summary>Numbers Width … 2·Width.</summary>
    static abstract V Right<V>(byte* numbers) where V : struct, ISimd<V>;
}

/// <summary>Float32, in order.</summary>
internal readonly unsafe struct Float32Panel : IPanel
{
    public static int Size => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Left<V>(byte* numbers) where V : struct, ISimd<V> => V.Load((float*)numbers);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Right<V>(byte* numbers) where V : struct, ISimd<V> => V.Load((float*)numbers + V.Width);
}

/// <summary>
/// bfloat16, the two vectors interleaved: number i of the left one and number i of the right one make 32 bits, so that a shift widens the
/// one and a mask the other.
/// </summary>
internal readonly unsafe struct BFloat16Panel : IPanel
{
    // The vectors of this process: the order depends on it, and a packed matrix never leaves the process.
    /// <summary>Numbers of a vector.</summary>
    public static readonly int Vector = Math.Max(1, (int)SimdSupport.Vectors / 32);

    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Left<V>(byte* numbers) where V : struct, ISimd<V> => V.WidenLower((uint*)numbers);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Right<V>(byte* numbers) where V : struct, ISimd<V> => V.WidenUpper((uint*)numbers);

    /// <summary>Where number <paramref name="column"/> of a row stands.</summary>
    public static int Place(int column)
    {
        int pair = column / (2 * Vector) * 2 * Vector, rest = column - pair;
        return pair + rest % Vector * 2 + rest / Vector;
    }
}
