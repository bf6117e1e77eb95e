using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The register tile of int8 products: C (rows, W) int32 = [C +] A (rows, 4·steps) · B (4·steps, W) int8, where B is a panel of <see cref="QuantizedPanels"/> and A from 0 to 255,
/// or that less <see cref="Offset"/>. A step takes a group of four inputs, whose products one instruction adds (AVX-VNNI, AVX512-VNNI, AMX, NEON's dot product), or three (pmaddubsw, which adds those of
/// neighbours in 16 bits, as panels are made for), or with older ARM four.
/// The sums are exact, so every tile, at every SIMD level and in any order, gives the same bits.
/// </summary>
internal static unsafe class QuantizedTile
{
    /// <summary>Inputs that one step takes.</summary>
    public const int Group = 4;

    /// <summary>What ARM has takes bytes with signs, so there inputs from 0 to 255 are kept as -128 to 127, and their zeros are 128 less as well.</summary>
    public static int Offset => HasNeon ? 128 : 0;

    private static bool HasNeon => AdvSimd.Arm64.IsSupported && SimdSupport.Level == SimdLevel.Vector128;

    /// <summary>Bytes of a group of a panel: the four int8 of column 0, of column 1, ….</summary>
    public static int GroupBytes => Group * Width;

    private static int Width => MatMulTile.PanelWidth;

    /// <summary>
    /// C = [C +] A · B for one row or more. <paramref name="aStride"/> counts bytes, <paramref name="cStride"/> int32; there are a multiple of
    /// <see cref="MachineTiles.StepsAtOnce"/> steps. <paramref name="next"/> is a panel of as many steps that will be read soon, or null: it is fetched ahead, a little with every step.
    /// </summary>
    public static void Multiply(byte* a, nint aStride, sbyte* b, int* c, nint cStride, int rows, int steps, bool add, sbyte* next = null)
    {
        if (MachineTiles.HasInt8)
        {
            TileCall call = TileEnds.Of(c, cStride, add).Call(a, aStride, b, GroupBytes, steps, next);
            MachineTiles.MultiplyInt8(ref call, rows);
        }
        else if (HasNeon && Dp.IsSupported) NeonTile.Multiply<NeonTile.Int8>(a, aStride, (byte*)b, GroupBytes, TileEnds.Of(c, cStride, add), rows, steps);
        else if (HasNeon) Multiply<Vector128<int>, Lanes128, Neon128>(a, aStride, b, c, cStride, rows, steps, add, next);
        else if (SimdSupport.Level >= SimdLevel.Vector256 && AvxVnni.IsSupported) Multiply<Vector256<int>, Lanes256, Vnni256>(a, aStride, b, c, cStride, rows, steps, add, next);
        else if (SimdSupport.Level >= SimdLevel.Vector256 && Avx2.IsSupported) Multiply<Vector256<int>, Lanes256, Dot256>(a, aStride, b, c, cStride, rows, steps, add, next);
        else if (SimdSupport.Level >= SimdLevel.Vector128 && Ssse3.IsSupported) Multiply<Vector128<int>, Lanes128, Dot128>(a, aStride, b, c, cStride, rows, steps, add, next);
        else Multiply<int, OneLane, DotScalar>(a, aStride, b, c, cStride, rows, steps, add, next);
    }

    /// <summary>The same with the instructions of <typeparamref name="D"/>, which the processor must have.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply<S, L, D>(byte* a, nint aStride, sbyte* b, int* c, nint cStride, int rows, int steps, bool add, sbyte* next = null)
        where S : struct where L : struct, ILanes<S> where D : struct, IDot<S>
    {
        int groupBytes = GroupBytes, tiles = (rows / D.Rows + BitOperations.PopCount((uint)(rows % D.Rows))) * (Width / (2 * L.Width));
        nint ahead = next == null ? 0 : (groupBytes + tiles - 1) / tiles, aheadOfTile = ahead * steps;
        byte* fetch = (byte*)(next == null ? b : next);
        for (int column = 0; column < Width; column += 2 * L.Width)
        {
            sbyte* part = b + Group * column;
            int row = 0;
            if (D.Rows == 6)
                for (; row + 6 <= rows; row += 6, fetch += aheadOfTile) Tile<S, L, D, Rows6>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
            for (; row + 4 <= rows; row += 4, fetch += aheadOfTile) Tile<S, L, D, Rows4>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
            for (; row + 2 <= rows; row += 2, fetch += aheadOfTile) Tile<S, L, D, Rows2>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
            for (; row < rows; row++, fetch += aheadOfTile) Tile<S, L, D, Rows1>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
        }
    }

    // Long because accumulators must be named variables to live in registers; the branches on the constant R.Count vanish.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<S, L, D, R>(byte* a, nint aStride, sbyte* b, nint bStride, int* c, nint cStride, int steps, bool add, byte* fetch, nint ahead)
        where S : struct where L : struct, ILanes<S> where D : struct, IDot<S> where R : struct, IRows
    {
        S l0 = default, r0 = default, l1 = default, r1 = default, l2 = default, r2 = default, l3 = default, r3 = default, l4 = default, r4 = default, l5 = default, r5 = default;
        for (int i = 0; i < steps; i++, a += Group, b += bStride, fetch += ahead)
        {
            Simd.Prefetch(fetch);
            S left = L.Four(b), right = L.Four(b + Group * L.Width), x;
            { x = L.Spread(a + 0 * aStride); l0 = D.Add(l0, x, left); r0 = D.Add(r0, x, right); }
            if (R.Count > 1) { x = L.Spread(a + 1 * aStride); l1 = D.Add(l1, x, left); r1 = D.Add(r1, x, right); }
            if (R.Count > 2) { x = L.Spread(a + 2 * aStride); l2 = D.Add(l2, x, left); r2 = D.Add(r2, x, right); }
            if (R.Count > 3) { x = L.Spread(a + 3 * aStride); l3 = D.Add(l3, x, left); r3 = D.Add(r3, x, right); }
            if (R.Count > 4) { x = L.Spread(a + 4 * aStride); l4 = D.Add(l4, x, left); r4 = D.Add(r4, x, right); }
            if (R.Count > 5) { x = L.Spread(a + 5 * aStride); l5 = D.Add(l5, x, left); r5 = D.Add(r5, x, right); }
        }
        L.Store(c + 0 * cStride, l0, r0, add);
        if (R.Count > 1) L.Store(c + 1 * cStride, l1, r1, add);
        if (R.Count > 2) L.Store(c + 2 * cStride, l2, r2, add);
        if (R.Count > 3) L.Store(c + 3 * cStride, l3, r3, add);
        if (R.Count > 4) L.Store(c + 4 * cStride, l4, r4, add);
        if (R.Count > 5) L.Store(c + 5 * cStride, l5, r5, add);
    }

    /// <summary>A vector of int32 sums; of inputs and of parameters it holds four a lane.</summary>
    internal interface ILanes<S>
    {
        /// <summary>Columns of a vector.</summary>
        static abstract int Width { get; }

        /// <summary>Four inputs of a row, for every column.</summary>
        static abstract S Spread(byte* inputs);

        /// <summary>The parameters of each column.</summary>
        static abstract S Four(sbyte* parameters);

        static abstract void Store(int* c, S left, S right, bool add);
    }

    /// <summary>How a processor adds the products of four inputs and as many int8 to each int32 of a vector.</summary>
    internal interface IDot<S>
    {
        /// <summary>Rows of the highest tile whose sums and operands have a register each.</summary>
        static abstract int Rows { get; }

        static abstract S Add(S sums, S inputs, S parameters);
    }

    internal readonly struct Lanes256 : ILanes<Vector256<int>>
    {
        public static int Width => 8;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Spread(byte* inputs) => Vector256.Create(*(int*)inputs);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Four(sbyte* parameters) => Vector256.Load((int*)parameters);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, Vector256<int> left, Vector256<int> right, bool add)
        {
            if (add)
            {
                left += Vector256.Load(c);
                right += Vector256.Load(c + Width);
            }
            left.Store(c);
            right.Store(c + Width);
        }
    }

    internal readonly struct Lanes128 : ILanes<Vector128<int>>
    {
        public static int Width => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Spread(byte* inputs) => Vector128.Create(*(int*)inputs);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Four(sbyte* parameters) => Vector128.Load((int*)parameters);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, Vector128<int> left, Vector128<int> right, bool add)
        {
            if (add)
            {
                left += Vector128.Load(c);
                right += Vector128.Load(c + Width);
            }
            left.Store(c);
            right.Store(c + Width);
        }
    }

    internal readonly struct OneLane : ILanes<int>
    {
        public static int Width => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Spread(byte* inputs) => *(int*)inputs;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Four(sbyte* parameters) => *(int*)parameters;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, int left, int right, bool add)
        {
            c[0] = add ? c[0] + left : left;
            c[1] = add ? c[1] + right : right;
        }
    }

    /// <summary>One instruction (vpdpbusd): 12 sums, two parameters and one input fill 15 of 16 registers.</summary>
    internal readonly struct Vnni256 : IDot<Vector256<int>>
    {
        public static int Rows => 6;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Add(Vector256<int> sums, Vector256<int> inputs, Vector256<int> parameters) =>
            AvxVnni.MultiplyWideningAndAdd(sums, inputs.AsByte(), parameters.AsSByte());
    }

    /// <summary>Products of neighbours in 16 bits (pmaddubsw), and of both pairs in 32 (pmaddwd): eight sums, two parameters, one input, a product and ones fill 13 of 16 registers.</summary>
    internal readonly struct Dot256 : IDot<Vector256<int>>
    {
        public static int Rows => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Add(Vector256<int> sums, Vector256<int> inputs, Vector256<int> parameters) =>
            sums + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(inputs.AsByte(), parameters.AsSByte()), Vector256<short>.One);
    }

    /// <summary><see cref="Dot256"/> in 128 bits.</summary>
    internal readonly struct Dot128 : IDot<Vector128<int>>
    {
        public static int Rows => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Add(Vector128<int> sums, Vector128<int> inputs, Vector128<int> parameters) =>
            sums + Sse2.MultiplyAddAdjacent(Ssse3.MultiplyAddAdjacent(inputs.AsByte(), parameters.AsSByte()), Vector128<short>.One);
    }

    /// <summary>ARM without dot products: products of signed bytes in 16 bits, neighbours added there, and both pairs in 32.</summary>
    internal readonly struct Neon128 : IDot<Vector128<int>>
    {
        public static int Rows => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Add(Vector128<int> sums, Vector128<int> inputs, Vector128<int> parameters) =>
            AdvSimd.AddPairwiseWideningAndAdd(sums, AdvSimd.Arm64.AddPairwise(AdvSimd.MultiplyWideningLower(inputs.AsSByte().GetLower(), parameters.AsSByte().GetLower()),
                AdvSimd.MultiplyWideningUpper(inputs.AsSByte(), parameters.AsSByte())));
    }

    /// <summary>Any processor, one column at a time.</summary>
    internal readonly struct DotScalar : IDot<int>
    {
        public static int Rows => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Add(int sums, int inputs, int parameters) =>
            sums + (byte)inputs * (sbyte)parameters + (byte)(inputs >> 8) * (sbyte)(parameters >> 8) + (byte)(inputs >> 16) * (sbyte)(parameters >> 16) + (byte)(inputs >> 24) * (sbyte)(parameters >> 24);
    }
}
