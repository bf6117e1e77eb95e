using System.Numerics;
using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>A number of rows that the compiler knows, so that a tile of few rows holds no code for many.</summary>
internal interface IRows
{
    static abstract int Count { get; }
}

internal readonly struct Rows1 : IRows { public static int Count => 1; }

internal readonly struct Rows2 : IRows { public static int Count => 2; }

internal readonly struct Rows4 : IRows { public static int Count => 4; }

internal readonly struct Rows6 : IRows { public static int Count => 6; }

internal readonly struct Rows8 : IRows { public static int Count => 8; }

internal readonly struct Rows12 : IRows { public static int Count => 12; }

/// <summary>
/// The register tile of every matrix product: C (rows, 2 vectors) = [C +] A (rows, K) · B (K, 2 vectors).
/// Two vectors of B and one broadcast of A feed 2·rows accumulators that stay in registers for the whole of K: 24 of the
/// 32 registers with AVX-512, 12 of 16 elsewhere. Every accumulator adds k = 0, 1, 2, … in order, so the bits of an
/// element do not depend on the height of the tile it fell into.
/// </summary>
internal static unsafe class MatMulTile
{
    /// <summary>Columns of a panel of B, at every SIMD level: two AVX-512 vectors.</summary>
    public const int PanelWidth = 32;

    /// <summary>
    /// C (rows, PanelWidth) = [C +] A (rows, K) · B (K, PanelWidth), for any number of rows.
    /// <paramref name="aStride"/>, <paramref name="bStride"/> and <paramref name="cStride"/> are the distances between rows, and
    /// <paramref name="aStep"/> is the distance between neighbours in a row of A, so that a transposed A needs no copy.
    /// </summary>
    public static void Multiply<V>(float* a, nint aStride, nint aStep, float* b, nint bStride, float* c, nint cStride, int rows, int k, bool add)
        where V : struct, ISimd<V> =>
        Multiply<V, Float32Panel>(a, aStride, aStep, (byte*)b, bStride, c, cStride, rows, k, add);

    /// <summary>
    /// The same with B in any format; <paramref name="bStride"/> counts numbers, as all strides do. <paramref name="next"/> is a panel (K, 32) that
    /// will be read soon, or null: it is fetched into the second cache on the way, a little with every step, as no processor foresees
    /// where the next panel begins.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<V, B>(float* a, nint aStride, nint aStep, byte* b, nint bStride, float* c, nint cStride, int rows, int k, bool add, byte* next = null)
        where V : struct, ISimd<V> where B : struct, IPanel
    {
        // Bytes of the next panel that each step of K fetches, so that it is complete after the last tile, and nothing beyond it is read.
        int highest = V.Width == 16 ? 12 : 6, tiles = (rows / highest + BitOperations.PopCount((uint)(rows % highest))) * (PanelWidth / (2 * V.Width));
        nint ahead = next == null ? 0 : (PanelWidth * B.Size + tiles - 1) / tiles, aheadOfTile = ahead * k;
        if (next == null) next = b;
        for (int column = 0; column < PanelWidth; column += 2 * V.Width)
        {
            byte* part = b + column * B.Size;
            int row = 0;
            if (V.Width == 16)
                for (; row + 12 <= rows; row += 12, next += aheadOfTile) Tile<V, B, Rows12>(a + row * aStride, aStride, aStep, part, bStride * B.Size, c + row * cStride + column, cStride, k, add, next, ahead);
            if (V.Width == 16)
                for (; row + 8 <= rows; row += 8, next += aheadOfTile) Tile<V, B, Rows8>(a + row * aStride, aStride, aStep, part, bStride * B.Size, c + row * cStride + column, cStride, k, add, next, ahead);
            else
                for (; row + 6 <= rows; row += 6, next += aheadOfTile) Tile<V, B, Rows6>(a + row * aStride, aStride, aStep, part, bStride * B.Size, c + row * cStride + column, cStride, k, add, next, ahead);
            for (; row + 4 <= rows; row += 4, next += aheadOfTile) Tile<V, B, Rows4>(a + row * aStride, aStride, aStep, part, bStride * B.Size, c + row * cStride + column, cStride, k, add, next, ahead);
            for (; row + 2 <= rows; row += 2, next += aheadOfTile) Tile<V, B, Rows2>(a + row * aStride, aStride, aStep, part, bStride * B.Size, c + row * cStride + column, cStride, k, add, next, ahead);
            for (; row < rows; row++, next += aheadOfTile) Tile<V, B, Rows1>(a + row * aStride, aStride, aStep, part, bStride * B.Size, c + row * cStride + column, cStride, k, add, next, ahead);
        }
    }

    // Long because accumulators must be named variables to live in registers; a row is three lines, and the branches on the
    // constant R.Count vanish when the tile is compiled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<V, B, R>(float* a, nint aStride, nint aStep, byte* b, nint bBytes, float* c, nint cStride, int k, bool add, byte* next, nint ahead)
        where V : struct, ISimd<V> where B : struct, IPanel where R : struct, IRows
    {
        V l0 = default, r0 = default, l1 = default, r1 = default, l2 = default, r2 = default, l3 = default, r3 = default, l4 = default, r4 = default, l5 = default, r5 = default;
        V l6 = default, r6 = default, l7 = default, r7 = default, l8 = default, r8 = default, l9 = default, r9 = default, l10 = default, r10 = default, l11 = default, r11 = default;
        for (int i = 0; i < k; i++, a += aStep, b += bBytes, next += ahead)
        {
            Simd.Prefetch(next);
            V left = B.Left<V>(b), right = B.Right<V>(b), x;
            { x = V.Create(a[0 * aStride]); l0 = V.Fma(x, left, l0); r0 = V.Fma(x, right, r0); }
            if (R.Count > 1) { x = V.Create(a[1 * aStride]); l1 = V.Fma(x, left, l1); r1 = V.Fma(x, right, r1); }
            if (R.Count > 2) { x = V.Create(a[2 * aStride]); l2 = V.Fma(x, left, l2); r2 = V.Fma(x, right, r2); }
            if (R.Count > 3) { x = V.Create(a[3 * aStride]); l3 = V.Fma(x, left, l3); r3 = V.Fma(x, right, r3); }
            if (R.Count > 4) { x = V.Create(a[4 * aStride]); l4 = V.Fma(x, left, l4); r4 = V.Fma(x, right, r4); }
            if (R.Count > 5) { x = V.Create(a[5 * aStride]); l5 = V.Fma(x, left, l5); r5 = V.Fma(x, right, r5); }
            if (R.Count > 6) { x = V.Create(a[6 * aStride]); l6 = V.Fma(x, left, l6); r6 = V.Fma(x, right, r6); }
            if (R.Count > 7) { x = V.Create(a[7 * aStride]); l7 = V.Fma(x, left, l7); r7 = V.Fma(x, right, r7); }
            if (R.Count > 8) { x = V.Create(a[8 * aStride]); l8 = V.Fma(x, left, l8); r8 = V.Fma(x, right, r8); }
            if (R.Count > 9) { x = V.Create(a[9 * aStride]); l9 = V.Fma(x, left, l9); r9 = V.Fma(x, right, r9); }
            if (R.Count > 10) { x = V.Create(a[10 * aStride]); l10 = V.Fma(x, left, l10); r10 = V.Fma(x, right, r10); }
            if (R.Count > 11) { x = V.Create(a[11 * aStride]); l11 = V.Fma(x, left, l11); r11 = V.Fma(x, right, r11); }
        }
        Store(c + 0 * cStride, l0, r0, add);
        if (R.Count > 1) Store(c + 1 * cStride, l1, r1, add);
        if (R.Count > 2) Store(c + 2 * cStride, l2, r2, add);
        if (R.Count > 3) Store(c + 3 * cStride, l3, r3, add);
        if (R.Count > 4) Store(c + 4 * cStride, l4, r4, add);
        if (R.Count > 5) Store(c + 5 * cStride, l5, r5, add);
        if (R.Count > 6) Store(c + 6 * cStride, l6, r6, add);
        if (R.Count > 7) Store(c + 7 * cStride, l7, r7, add);
        if (R.Count > 8) Store(c + 8 * cStride, l8, r8, add);
        if (R.Count > 9) Store(c + 9 * cStride, l9, r9, add);
        if (R.Count > 10) Store(c + 10 * cStride, l10, r10, add);
        if (R.Count > 11) Store(c + 11 * cStride, l11, r11, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V>(float* c, V left, V right, bool add) where V : struct, ISimd<V>
    {
        if (add)
        {
            left += V.Load(c);
            right += V.Load(c + V.Width);
        }
        left.Store(c);
        right.Store(c + V.Width);
    }
}
