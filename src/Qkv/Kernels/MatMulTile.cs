using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.Arm;
using Qkv.Kernels.MachineCode;

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

/// <summary>What the sums of a tile start from, and where they go: C = start + A · B [+ added].</summary>
internal unsafe struct TileEnds
{
    public float* C; // (rows, W), the columns of a panel
    public nint CStride;

    /// <summary>(W): every row's sums start from it; null for zero.</summary>
    public float* Start;

    /// <summary>(rows, W): added at the end, C itself or another; null for nothing.</summary>
    public float* Added;
    public nint AddedStride;

    /// <summary>C = [C +] A · B, of float32, or of int32, which are as long.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileEnds Of(void* c, nint cStride, bool add) => new() { C = (float*)c, CStride = cStride, Added = add ? (float*)c : null, AddedStride = cStride };

    /// <summary>The same from a row and a column on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly TileEnds At(int row, int column) => new()
    {
        C = C + row * CStride + column,
        CStride = CStride,
        Start = Start == null ? null : Start + column,
        Added = Added == null ? null : Added + row * AddedStride + column,
        AddedStride = AddedStride,
    };

    /// <summary>As the machine tiles want it, with A (rows, steps) and B (steps, W) of four bytes a number, their strides in bytes, and the panel that comes <paramref name="next"/> or null.</summary>
    public readonly TileCall Call(void* a, nint aStride, void* b, nint bStride, nint steps, void* next = null) => new()
    {
        A = (byte*)a,
        AStride = aStride,
        B = (byte*)b,
        BStride = bStride,
        C = (byte*)C,
        CStride = CStride * sizeof(float),
        Start = Start,
        Added = (byte*)Added,
        AddedStride = AddedStride * sizeof(float),
        Steps = steps,
        Next = (byte*)next,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store<V>(int row, V left, V right) where V : struct, ISimd<V>
    {
        if (Added != null)
        {
            left += V.Load(Added + row * AddedStride);
            right += V.Load(Added + row * AddedStride + V.Width);
        }
        left.Store(C + row * CStride);
        right.Store(C + row * CStride + V.Width);
    }
}

/// <summary>
/// The register tile of every matrix product: C (rows, 2 vectors) = start + A (rows, K) · B (K, 2 vectors) [+ C].
/// Two vectors of B and one broadcast of A feed 2·rows accumulators that stay in registers for the whole of K: 24 of the
/// 32 registers with AVX-512, 12 of 16 elsewhere. Every accumulator adds k = 0, 1, 2, … in order, so the bits of an
/// element do not depend on the height of the tile it fell into.
/// </summary>
internal static unsafe class MatMulTile
{
    /// <summary>
    /// Columns of a panel of B: two vectors, so that a step of it is read from one place to the next; as many with vectors of less than 256 bits, which take it in several passes.
    /// </summary>
    public static int PanelWidth => SimdSupport.Vectors == SimdLevel.Vector512 ? 32 : 16;

    /// <summary>
    /// C (rows, PanelWidth) = [C +] A (rows, K) · B (K, PanelWidth), for any number of rows.
    /// <paramref name="aStride"/>, <paramref name="bStride"/> and <paramref name="cStride"/> are the distances between rows, and
    /// <paramref name="aStep"/> is the distance between neighbours in a row of A, so that a transposed A needs no copy.
    /// </summary>
    public static void Multiply<V>(float* a, nint aStride, nint aStep, float* b, nint bStride, float* c, nint cStride, int rows, int k, bool add)
        where V : struct, ISimd<V> =>
        Multiply<V, Float32Panel>(a, aStride, aStep, (byte*)b, bStride, TileEnds.Of(c, cStride, add), rows, k);

    /// <summary>
    /// The same with B in any format and more to begin and to end with; <paramref name="bStride"/> counts numbers, as all strides do.
    /// <paramref name="next"/> is a panel (K, W) that will be read soon, or null: it is fetched into the second cache on the way, a little
    /// with every step, as no processor foresees where the next panel begins.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<V, B>(float* a, nint aStride, nint aStep, byte* b, nint bStride, in TileEnds ends, int rows, int k, byte* next = null)
        where V : struct, ISimd<V> where B : struct, IPanel
    {
        bool widens = typeof(B) == typeof(BFloat16Panel);
        if (V.Width >= 8 && aStep == 1 && (widens ? MachineTiles.HasWidening : MachineTiles.HasFloat32))
        {
            TileCall call = ends.Call(a, aStride * sizeof(float), b, bStride * B.Size, k, next);
            if (widens) MachineTiles.MultiplyWidening(ref call, rows);
            else MachineTiles.MultiplyFloat32(ref call, rows);
            return;
        }
        if (typeof(V) == typeof(Simd128) && AdvSimd.Arm64.IsSupported && aStep == 1)
        {
            NeonTile.Multiply<NeonTile.Float32<B>>((byte*)a, aStride * sizeof(float), b, bStride * B.Size, ends, rows, k);
            return;
        }
        // Bytes of the next panel that each step of K fetches, so that it is complete after the last tile, and nothing beyond it is read.
        int highest = V.Width == 16 ? 12 : 6, tiles = (rows / highest + BitOperations.PopCount((uint)(rows % highest))) * (PanelWidth / (2 * V.Width));
        nint ahead = next == null ? 0 : (PanelWidth * B.Size + tiles - 1) / tiles, aheadOfTile = ahead * k;
        if (next == null) next = b;
        for (int column = 0; column < PanelWidth; column += 2 * V.Width)
        {
            byte* part = b + column * B.Size;
            int row = 0;
            if (V.Width == 16)
                for (; row + 12 <= rows; row += 12, next += aheadOfTile) Tile<V, B, Rows12>(a + row * aStride, aStride, aStep, part, bStride * B.Size, ends.At(row, column), k, next, ahead);
            if (V.Width == 16)
                for (; row + 8 <= rows; row += 8, next += aheadOfTile) Tile<V, B, Rows8>(a + row * aStride, aStride, aStep, part, bStride * B.Size, ends.At(row, column), k, next, ahead);
            else
                for (; row + 6 <= rows; row += 6, next += aheadOfTile) Tile<V, B, Rows6>(a + row * aStride, aStride, aStep, part, bStride * B.Size, ends.At(row, column), k, next, ahead);
            for (; row + 4 <= rows; row += 4, next += aheadOfTile) Tile<V, B, Rows4>(a + row * aStride, aStride, aStep, part, bStride * B.Size, ends.At(row, column), k, next, ahead);
            for (; row + 2 <= rows; row += 2, next += aheadOfTile) Tile<V, B, Rows2>(a + row * aStride, aStride, aStep, part, bStride * B.Size, ends.At(row, column), k, next, ahead);
            for (; row < rows; row++, next += aheadOfTile) Tile<V, B, Rows1>(a + row * aStride, aStride, aStep, part, bStride * B.Size, ends.At(row, column), k, next, ahead);
        }
    }

    // Long because accumulators must be named variables to live in registers; a row is three lines, and the branches on the
    // constant R.Count vanish when the tile is compiled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<V, B, R>(float* a, nint aStride, nint aStep, byte* b, nint bBytes, TileEnds ends, int k, byte* next, nint ahead)
        where V : struct, ISimd<V> where B : struct, IPanel where R : struct, IRows
    {
        V l0 = ends.Start == null ? default : V.Load(ends.Start), r0 = ends.Start == null ? default : V.Load(ends.Start + V.Width);
        V l1 = l0, r1 = r0, l2 = l0, r2 = r0, l3 = l0, r3 = r0, l4 = l0, r4 = r0, l5 = l0, r5 = r0, l6 = l0, r6 = r0;
        V l7 = l0, r7 = r0, l8 = l0, r8 = r0, l9 = l0, r9 = r0, l10 = l0, r10 = r0, l11 = l0, r11 = r0;
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
        ends.Store(0, l0, r0);
        if (R.Count > 1) ends.Store(1, l1, r1);
        if (R.Count > 2) ends.Store(2, l2, r2);
        if (R.Count > 3) ends.Store(3, l3, r3);
        if (R.Count > 4) ends.Store(4, l4, r4);
        if (R.Count > 5) ends.Store(5, l5, r5);
        if (R.Count > 6) ends.Store(6, l6, r6);
        if (R.Count > 7) ends.Store(7, l7, r7);
        if (R.Count > 8) ends.Store(8, l8, r8);
        if (R.Count > 9) ends.Store(9, l9, r9);
        if (R.Count > 10) ends.Store(10, l10, r10);
        if (R.Count > 11) ends.Store(11, l11, r11);
    }
}
