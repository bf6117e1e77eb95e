using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace Qkv.Kernels;

/// <summary>
/// The register tile of NEON, which multiplies a vector by one lane of another: C (rows, 2 vectors) = start + A (rows, K) · B (K, 2 vectors) [+ C]. Four neighbours of a row of A
/// fill a register, so that no number is copied to all lanes first, which would take a third of the multipliers' time: 16 sums, 8 registers of A and two of B, of the 32 there are.
/// Every sum adds k = 0, 1, 2, … in order, so the bits are those of <see cref="MatMulTile"/>.
/// </summary>
internal static unsafe class NeonTile
{
    private const int Width = 4, Lanes = 4;

    /// <summary>C = [C +] A · B for one row or more; A has four bytes a step, and all strides but those of the ends count bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<L>(byte* a, nint aStride, byte* b, nint bStride, in TileEnds ends, int rows, int steps) where L : struct, ILanes
    {
        for (int column = 0; column < MatMulTile.PanelWidth; column += 2 * Width)
        {
            byte* part = b + column * L.Size;
            int row = 0;
            for (; row + 8 <= rows; row += 8) Tile<L, Rows8>(a + row * aStride, aStride, part, bStride, ends.At(row, column), steps);
            for (; row + 4 <= rows; row += 4) Tile<L, Rows4>(a + row * aStride, aStride, part, bStride, ends.At(row, column), steps);
            for (; row + 2 <= rows; row += 2) Tile<L, Rows2>(a + row * aStride, aStride, part, bStride, ends.At(row, column), steps);
            for (; row < rows; row++) Tile<L, Rows1>(a + row * aStride, aStride, part, bStride, ends.At(row, column), steps);
        }
    }

    // Long because sums must be named variables to live in registers, and lanes constants; the branches on the constant R.Count vanish.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<L, R>(byte* a, nint aStride, byte* b, nint bStride, TileEnds ends, int steps) where L : struct, ILanes where R : struct, IRows
    {
        Vector128<float> l0 = ends.Start == null ? default : Vector128.Load(ends.Start), r0 = ends.Start == null ? default : Vector128.Load(ends.Start + Width);
        Vector128<float> l1 = l0, r1 = r0, l2 = l0, r2 = r0, l3 = l0, r3 = r0, l4 = l0, r4 = r0, l5 = l0, r5 = r0, l6 = l0, r6 = r0, l7 = l0, r7 = r0;
        Vector128<float> a0, a1 = default, a2 = default, a3 = default, a4 = default, a5 = default, a6 = default, a7 = default, left, right;
        int i = 0;
        for (; i + Lanes <= steps; i += Lanes, a += Lanes * sizeof(float))
        {
            a0 = Four(a);
            if (R.Count > 1) a1 = Four(a + 1 * aStride);
            if (R.Count > 2) { a2 = Four(a + 2 * aStride); a3 = Four(a + 3 * aStride); }
            if (R.Count > 4) { a4 = Four(a + 4 * aStride); a5 = Four(a + 5 * aStride); a6 = Four(a + 6 * aStride); a7 = Four(a + 7 * aStride); }

            (left, right) = (L.Left(b), L.Right(b));
            { l0 = L.Add(l0, left, a0, 0); r0 = L.Add(r0, right, a0, 0); }
            if (R.Count > 1) { l1 = L.Add(l1, left, a1, 0); r1 = L.Add(r1, right, a1, 0); }
            if (R.Count > 2) { l2 = L.Add(l2, left, a2, 0); r2 = L.Add(r2, right, a2, 0); l3 = L.Add(l3, left, a3, 0); r3 = L.Add(r3, right, a3, 0); }
            if (R.Count > 4) { l4 = L.Add(l4, left, a4, 0); r4 = L.Add(r4, right, a4, 0); l5 = L.Add(l5, left, a5, 0); r5 = L.Add(r5, right, a5, 0); }
            if (R.Count > 4) { l6 = L.Add(l6, left, a6, 0); r6 = L.Add(r6, right, a6, 0); l7 = L.Add(l7, left, a7, 0); r7 = L.Add(r7, right, a7, 0); }
            b += bStride;

            (left, right) = (L.Left(b), L.Right(b));
            { l0 = L.Add(l0, left, a0, 1); r0 = L.Add(r0, right, a0, 1); }
            if (R.Count > 1) { l1 = L.Add(l1, left, a1, 1); r1 = L.Add(r1, right, a1, 1); }
            if (R.Count > 2) { l2 = L.Add(l2, left, a2, 1); r2 = L.Add(r2, right, a2, 1); l3 = L.Add(l3, left, a3, 1); r3 = L.Add(r3, right, a3, 1); }
            if (R.Count > 4) { l4 = L.Add(l4, left, a4, 1); r4 = L.Add(r4, right, a4, 1); l5 = L.Add(l5, left, a5, 1); r5 = L.Add(r5, right, a5, 1); }
            if (R.Count > 4) { l6 = L.Add(l6, left, a6, 1); r6 = L.Add(r6, right, a6, 1); l7 = L.Add(l7, left, a7, 1); r7 = L.Add(r7, right, a7, 1); }
            b += bStride;

            (left, right) = (L.Left(b), L.Right(b));
            { l0 = L.Add(l0, left, a0, 2); r0 = L.Add(r0, right, a0, 2); }
            if (R.Count > 1) { l1 = L.Add(l1, left, a1, 2); r1 = L.Add(r1, right, a1, 2); }
            if (R.Count > 2) { l2 = L.Add(l2, left, a2, 2); r2 = L.Add(r2, right, a2, 2); l3 = L.Add(l3, left, a3, 2); r3 = L.Add(r3, right, a3, 2); }
            if (R.Count > 4) { l4 = L.Add(l4, left, a4, 2); r4 = L.Add(r4, right, a4, 2); l5 = L.Add(l5, left, a5, 2); r5 = L.Add(r5, right, a5, 2); }
            if (R.Count > 4) { l6 = L.Add(l6, left, a6, 2); r6 = L.Add(r6, right, a6, 2); l7 = L.Add(l7, left, a7, 2); r7 = L.Add(r7, right, a7, 2); }
            b += bStride;

            (left, right) = (L.Left(b), L.Right(b));
            { l0 = L.Add(l0, left, a0, 3); r0 = L.Add(r0, right, a0, 3); }
            if (R.Count > 1) { l1 = L.Add(l1, left, a1, 3); r1 = L.Add(r1, right, a1, 3); }
            if (R.Count > 2) { l2 = L.Add(l2, left, a2, 3); r2 = L.Add(r2, right, a2, 3); l3 = L.Add(l3, left, a3, 3); r3 = L.Add(r3, right, a3, 3); }
            if (R.Count > 4) { l4 = L.Add(l4, left, a4, 3); r4 = L.Add(r4, right, a4, 3); l5 = L.Add(l5, left, a5, 3); r5 = L.Add(r5, right, a5, 3); }
            if (R.Count > 4) { l6 = L.Add(l6, left, a6, 3); r6 = L.Add(r6, right, a6, 3); l7 = L.Add(l7, left, a7, 3); r7 = L.Add(r7, right, a7, 3); }
            b += bStride;
        }
        for (; i < steps; i++, a += sizeof(float), b += bStride)
        {
            (left, right) = (L.Left(b), L.Right(b));
            { a0 = One(a); l0 = L.Add(l0, left, a0, 0); r0 = L.Add(r0, right, a0, 0); }
            if (R.Count > 1) { a0 = One(a + 1 * aStride); l1 = L.Add(l1, left, a0, 0); r1 = L.Add(r1, right, a0, 0); }
            if (R.Count > 2) { a0 = One(a + 2 * aStride); l2 = L.Add(l2, left, a0, 0); r2 = L.Add(r2, right, a0, 0); }
            if (R.Count > 2) { a0 = One(a + 3 * aStride); l3 = L.Add(l3, left, a0, 0); r3 = L.Add(r3, right, a0, 0); }
            if (R.Count > 4) { a0 = One(a + 4 * aStride); l4 = L.Add(l4, left, a0, 0); r4 = L.Add(r4, right, a0, 0); }
            if (R.Count > 4) { a0 = One(a + 5 * aStride); l5 = L.Add(l5, left, a0, 0); r5 = L.Add(r5, right, a0, 0); }
            if (R.Count > 4) { a0 = One(a + 6 * aStride); l6 = L.Add(l6, left, a0, 0); r6 = L.Add(r6, right, a0, 0); }
            if (R.Count > 4) { a0 = One(a + 7 * aStride); l7 = L.Add(l7, left, a0, 0); r7 = L.Add(r7, right, a0, 0); }
        }
        Store<L>(ends, 0, l0, r0);
        if (R.Count > 1) Store<L>(ends, 1, l1, r1);
        if (R.Count > 2) { Store<L>(ends, 2, l2, r2); Store<L>(ends, 3, l3, r3); }
        if (R.Count > 4) { Store<L>(ends, 4, l4, r4); Store<L>(ends, 5, l5, r5); Store<L>(ends, 6, l6, r6); Store<L>(ends, 7, l7, r7); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Four(byte* a) => Vector128.Load((float*)a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> One(byte* a) => Vector128.CreateScalarUnsafe(*(float*)a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<L>(in TileEnds ends, int row, Vector128<float> left, Vector128<float> right) where L : struct, ILanes
    {
        if (ends.Added != null)
        {
            left = L.Sum(left, Vector128.Load(ends.Added + row * ends.AddedStride));
            right = L.Sum(right, Vector128.Load(ends.Added + row * ends.AddedStride + Width));
        }
        left.Store(ends.C + row * ends.CStride);
        right.Store(ends.C + row * ends.CStride + Width);
    }

    /// <summary>What the lanes of a tile hold, and how a processor multiplies them; whatever it is, a lane is 32 bits.</summary>
    internal interface ILanes
    {
        /// <summary>Bytes of a column of B.</summary>
        static abstract int Size { get; }

        static abstract Vector128<float> Left(byte* b);

        static abstract Vector128<float> Right(byte* b);

        /// <summary>sums + b · a[lane]</summary>
        static abstract Vector128<float> Add(Vector128<float> sums, Vector128<float> b, Vector128<float> a, [ConstantExpected(Max = (byte)3)] byte lane);

        static abstract Vector128<float> Sum(Vector128<float> a, Vector128<float> b);
    }

    /// <summary>Float32, with B in any format.</summary>
    internal readonly struct Float32<B> : ILanes where B : struct, IPanel
    {
        public static int Size => B.Size;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Left(byte* b) => B.Left<Simd128>(b).Vector;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Right(byte* b) => B.Right<Simd128>(b).Vector;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Add(Vector128<float> sums, Vector128<float> b, Vector128<float> a, [ConstantExpected(Max = (byte)3)] byte lane) =>
            AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(sums, b, a, lane);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Sum(Vector128<float> a, Vector128<float> b) => a + b;
    }

    /// <summary>Groups of four int8, and sums of int32 (sdot).</summary>
    internal readonly struct Int8 : ILanes
    {
        public static int Size => sizeof(int);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Left(byte* b) => Four(b);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Right(byte* b) => Four(b + Width * Size);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Add(Vector128<float> sums, Vector128<float> b, Vector128<float> a, [ConstantExpected(Max = (byte)3)] byte lane) =>
            Dp.DotProductBySelectedQuadruplet(sums.AsInt32(), b.AsSByte(), a.AsSByte(), lane).AsSingle();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Sum(Vector128<float> a, Vector128<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();
    }
}
