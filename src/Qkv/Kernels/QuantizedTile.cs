using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The register tile of int8 products: C (rows, W) int32 = [C +] A (rows, 4·steps) · B (4·steps, W) int8, where B is a panel of <see cref="QuantizedPanels"/> and A from 0 to 255,
/// or that less <see cref="Offset"/>. A step takes a group of four inputs, of which an instruction (AVX-VNNI, AVX512-VNNI, AMX, NEON's dot product) or three (pmaddubsw, which adds the
/// products of neighbours in 16 bits, as panels are made for) make one sum.
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
        else if (HasNeon) Multiply<Vector128<int>, Neon128>(a, aStride, b, c, cStride, rows, steps, add, next);
        else if (SimdSupport.Level >= SimdLevel.Vector256 && AvxVnni.IsSupported) Multiply<Vector256<int>, Vnni256>(a, aStride, b, c, cStride, rows, steps, add, next);
        else if (SimdSupport.Level >= SimdLevel.Vector256 && Avx2.IsSupported) Multiply<Vector256<int>, Dot256>(a, aStride, b, c, cStride, rows, steps, add, next);
        else if (SimdSupport.Level < SimdLevel.Vector128) Multiply<int, DotScalar>(a, aStride, b, c, cStride, rows, steps, add, next);
        else if (Ssse3.IsSupported) Multiply<Vector128<int>, Dot128>(a, aStride, b, c, cStride, rows, steps, add, next);
        else Multiply<Vector128<int>, Portable128>(a, aStride, b, c, cStride, rows, steps, add, next);
    }

    /// <summary>The same with the instructions of <typeparamref name="D"/>, which the processor must have.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply<S, D>(byte* a, nint aStride, sbyte* b, int* c, nint cStride, int rows, int steps, bool add, sbyte* next = null)
        where S : struct where D : struct, IDot<S>
    {
        int groupBytes = GroupBytes, tiles = (rows / D.Rows + BitOperations.PopCount((uint)(rows % D.Rows))) * (Width / (2 * D.Width));
        nint ahead = next == null ? 0 : (groupBytes + tiles - 1) / tiles, aheadOfTile = ahead * steps;
        byte* fetch = (byte*)(next == null ? b : next);
        for (int column = 0; column < Width; column += 2 * D.Width)
        {
            sbyte* part = b + Group * column;
            int row = 0;
            if (D.Rows == 6)
                for (; row + 6 <= rows; row += 6, fetch += aheadOfTile) Tile<S, D, Rows6>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
            for (; row + 4 <= rows; row += 4, fetch += aheadOfTile) Tile<S, D, Rows4>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
            for (; row + 2 <= rows; row += 2, fetch += aheadOfTile) Tile<S, D, Rows2>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
            for (; row < rows; row++, fetch += aheadOfTile) Tile<S, D, Rows1>(a + row * aStride, aStride, part, groupBytes, c + row * cStride + column, cStride, steps, add, fetch, ahead);
        }
    }

    // Long because accumulators must be named variables to live in registers; the branches on the constant R.Count vanish.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<S, D, R>(byte* a, nint aStride, sbyte* b, nint bStride, int* c, nint cStride, int steps, bool add, byte* fetch, nint ahead)
        where S : struct where D : struct, IDot<S> where R : struct, IRows
    {
        S l0 = D.Zero, r0 = D.Zero, l1 = D.Zero, r1 = D.Zero, l2 = D.Zero, r2 = D.Zero, l3 = D.Zero, r3 = D.Zero, l4 = D.Zero, r4 = D.Zero, l5 = D.Zero, r5 = D.Zero;
        for (int i = 0; i < steps; i++, a += Group, b += bStride, fetch += ahead)
        {
            Simd.Prefetch(fetch);
            S left = D.Four(b), right = D.Four(b + Group * D.Width), x;
            { x = D.Spread(a + 0 * aStride); l0 = D.Add(l0, x, left); r0 = D.Add(r0, x, right); }
            if (R.Count > 1) { x = D.Spread(a + 1 * aStride); l1 = D.Add(l1, x, left); r1 = D.Add(r1, x, right); }
            if (R.Count > 2) { x = D.Spread(a + 2 * aStride); l2 = D.Add(l2, x, left); r2 = D.Add(r2, x, right); }
            if (R.Count > 3) { x = D.Spread(a + 3 * aStride); l3 = D.Add(l3, x, left); r3 = D.Add(r3, x, right); }
            if (R.Count > 4) { x = D.Spread(a + 4 * aStride); l4 = D.Add(l4, x, left); r4 = D.Add(r4, x, right); }
            if (R.Count > 5) { x = D.Spread(a + 5 * aStride); l5 = D.Add(l5, x, left); r5 = D.Add(r5, x, right); }
        }
        D.Store(c + 0 * cStride, l0, r0, add);
        if (R.Count > 1) D.Store(c + 1 * cStride, l1, r1, add);
        if (R.Count > 2) D.Store(c + 2 * cStride, l2, r2, add);
        if (R.Count > 3) D.Store(c + 3 * cStride, l3, r3, add);
        if (R.Count > 4) D.Store(c + 4 * cStride, l4, r4, add);
        if (R.Count > 5) D.Store(c + 5 * cStride, l5, r5, add);
    }

    /// <summary>How a processor adds the products of four inputs and as many int8 to each int32 of a vector.</summary>
    /// <typeparam name="S">A vector of sums; of inputs and of parameters, four a lane.</typeparam>
    internal interface IDot<S>
    {
        /// <summary>Columns of a vector.</summary>
        static abstract int Width { get; }

        /// <summary>Rows of the highest tile whose sums and operands have a register each.</summary>
        static abstract int Rows { get; }

        static abstract S Zero { get; }

        /// <summary>Four inputs of a row, for every column.</summary>
        static abstract S Spread(byte* inputs);

        /// <summary>The parameters of each column.</summary>
        static abstract S Four(sbyte* parameters);

        static abstract S Add(S sums, S inputs, S parameters);

        static abstract void Store(int* c, S left, S right, bool add);
    }

    /// <summary>One instruction (vpdpbusd): 12 sums, two parameters and one input fill 15 of 16 registers.</summary>
    internal readonly struct Vnni256 : IDot<Vector256<int>>
    {
        public static int Width => 8;

        public static int Rows => 6;

        public static Vector256<int> Zero => default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Spread(byte* inputs) => Vector256.Create(*(int*)inputs);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Four(sbyte* parameters) => Vector256.Load((int*)parameters);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Add(Vector256<int> sums, Vector256<int> inputs, Vector256<int> parameters) =>
            AvxVnni.MultiplyWideningAndAdd(sums, inputs.AsByte(), parameters.AsSByte());

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, Vector256<int> left, Vector256<int> right, bool add) => Store256(c, left, right, add);
    }

    /// <summary>Products of neighbours in 16 bits (pmaddubsw), and of both pairs in 32 (pmaddwd): eight sums, two parameters, one input, a product and ones fill 13 of 16 registers.</summary>
    internal readonly struct Dot256 : IDot<Vector256<int>>
    {
        public static int Width => 8;

        public static int Rows => 4;

        public static Vector256<int> Zero => default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Spread(byte* inputs) => Vector256.Create(*(int*)inputs);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Four(sbyte* parameters) => Vector256.Load((int*)parameters);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Add(Vector256<int> sums, Vector256<int> inputs, Vector256<int> parameters) =>
            sums + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(inputs.AsByte(), parameters.AsSByte()), Vector256<short>.One);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, Vector256<int> left, Vector256<int> right, bool add) => Store256(c, left, right, add);
    }

    /// <summary><see cref="Dot256"/> in 128 bits.</summary>
    internal readonly struct Dot128 : IDot<Vector128<int>>
    {
        public static int Width => 4;

        public static int Rows => 4;

        public static Vector128<int> Zero => default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Spread(byte* inputs) => Vector128.Create(*(int*)inputs);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Four(sbyte* parameters) => Vector128.Load((int*)parameters);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Add(Vector128<int> sums, Vector128<int> inputs, Vector128<int> parameters) =>
            sums + Sse2.MultiplyAddAdjacent(Ssse3.MultiplyAddAdjacent(inputs.AsByte(), parameters.AsSByte()), Vector128<short>.One);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, Vector128<int> left, Vector128<int> right, bool add) => Store128(c, left, right, add);
    }

    /// <summary>ARM without dot products: products of signed bytes in 16 bits, neighbours added there, and both pairs in 32.</summary>
    internal readonly struct Neon128 : IDot<Vector128<int>>
    {
        public static int Width => 4;

        public static int Rows => 4;

        public static Vector128<int> Zero => default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Spread(byte* inputs) => Vector128.Create(*(int*)inputs);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Four(sbyte* parameters) => Vector128.Load((int*)parameters);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Add(Vector128<int> sums, Vector128<int> inputs, Vector128<int> parameters) =>
            AdvSimd.AddPairwiseWideningAndAdd(sums, AdvSimd.Arm64.AddPairwise(AdvSimd.MultiplyWideningLower(inputs.AsSByte().GetLower(), parameters.AsSByte().GetLower()),
                AdvSimd.MultiplyWideningUpper(inputs.AsSByte(), parameters.AsSByte())));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, Vector128<int> left, Vector128<int> right, bool add) => Store128(c, left, right, add);
    }

    /// <summary>128 bits of any processor: each byte of a lane by itself.</summary>
    internal readonly struct Portable128 : IDot<Vector128<int>>
    {
        public static int Width => 4;

        public static int Rows => 4;

        public static Vector128<int> Zero => default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Spread(byte* inputs) => Vector128.Create(*(int*)inputs);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Four(sbyte* parameters) => Vector128.Load((int*)parameters);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<int> Add(Vector128<int> sums, Vector128<int> inputs, Vector128<int> parameters) =>
            sums + Product(inputs, parameters, 0) + Product(inputs, parameters, 8) + Product(inputs, parameters, 16) + Product(inputs, parameters, 24);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, Vector128<int> left, Vector128<int> right, bool add) => Store128(c, left, right, add);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<int> Product(Vector128<int> inputs, Vector128<int> parameters, int bit) =>
            (Vector128.ShiftRightLogical(inputs, bit) & Vector128.Create((int)byte.MaxValue)) * Vector128.ShiftRightArithmetic(Vector128.ShiftLeft(parameters, 24 - bit), 24);
    }

    /// <summary>One column at a time.</summary>
    internal readonly struct DotScalar : IDot<int>
    {
        public static int Width => 1;

        public static int Rows => 4;

        public static int Zero => 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Spread(byte* inputs) => *(int*)inputs;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Four(sbyte* parameters) => *(int*)parameters;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Add(int sum, int inputs, int parameters) =>
            sum + (byte)inputs * (sbyte)parameters + (byte)(inputs >> 8) * (sbyte)(parameters >> 8) + (byte)(inputs >> 16) * (sbyte)(parameters >> 16) + (byte)(inputs >> 24) * (sbyte)(parameters >> 24);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(int* c, int left, int right, bool add)
        {
            c[0] = add ? c[0] + left : left;
            c[1] = add ? c[1] + right : right;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store256(int* c, Vector256<int> left, Vector256<int> right, bool add)
    {
        if (add)
        {
            left += Vector256.Load(c);
            right += Vector256.Load(c + 8);
        }
        left.Store(c);
        right.Store(c + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store128(int* c, Vector128<int> left, Vector128<int> right, bool add)
    {
        if (add)
        {
            left += Vector128.Load(c);
            right += Vector128.Load(c + 4);
        }
        left.Store(c);
        right.Store(c + 4);
    }
}
