using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using CsCheck;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels.MachineCode;

/// <summary>
/// The tiles in machine code, bit for bit against the specifications of their instructions. Long because several kinds of tile have numbers and a twin each, and are called in one way.
/// </summary>
[Trait("Suite", "Numerical")]
public unsafe class MachineTilesTests : IDisposable
{
    private const int MaxSteps = 48, MaxTiles = 2, Gap = 100, MostRows = MaxTiles * MachineTiles.AmxRows;

    private static readonly int s_columns = MatMulTile.PanelWidth;

    private static readonly Gen<Shape> s_shapes =
        Gen.Select(Gen.Select(Gen.Int[1, MachineTiles.Rows], Gen.Int[1, MaxTiles], Gen.Int[0, MaxSteps]), Gen.Bool, Gen.Bool, Gen.Enum<Numbers>(), Gen.Int[0, Gap / 4], Gen.Int)
            .Select((size, start, add, numbers, gap, seed) => new Shape(size.Item1, size.Item2, size.Item3, start, add, numbers, 4 * gap, seed));

    // AMX takes any rows up to its own height, and whole registers of steps.
    private static readonly Gen<Shape> s_amxShapes = Gen.Select(s_shapes, Gen.Int[1, MachineTiles.AmxRows], Gen.Int[0, MaxSteps / MachineTiles.AmxSteps])
        .Select((shape, rows, steps) => shape with { Rows = rows, Steps = steps * MachineTiles.AmxSteps });

    private readonly GuardedMemory _a = new(MostRows * (4 * MaxSteps + Gap)), _b = new((128 + Gap) * MaxSteps), _start = new(4 * s_columns), _c = new(MostRows * (4 * s_columns + Gap) + Gap),
        _added = new(MostRows * (4 * s_columns + Gap));

    /// <summary>What is multiplied.</summary>
    public enum Numbers
    {
        /// <summary>Around 1.</summary>
        Usual,

        /// <summary>Usual, and one in eight any bits at all.</summary>
        Mixed,

        /// <summary>Any bits: infinities, no numbers, denormals, overflows.</summary>
        Any,

        /// <summary>Products and sums around the smallest float32 that is not denormal; for int8, all at the ends of the range.</summary>
        Extreme,
    }

    public void Dispose()
    {
        _a.Dispose();
        _b.Dispose();
        _start.Dispose();
        _c.Dispose();
        _added.Dispose();
    }

    [Fact]
    public void Float32_is_what_its_instruction_is_specified_to_be()
    {
        Assert.SkipUnless(MachineTiles.HasFloat32, "No float32 tiles here.");
        s_shapes.Repeatable().Sample(shape => CheckFloat32(shape), iter: Effort.Iterations(20_000), threads: 1);
    }

    [Fact]
    public void Widened_bfloat16_is_multiplied_as_the_float32_that_it_is()
    {
        Assert.SkipUnless(MachineTiles.HasWidening, "No tiles that widen here.");
        s_shapes.Repeatable().Sample(shape => CheckWidening(shape), iter: Effort.Iterations(20_000), threads: 1);
    }

    [Fact]
    public void BFloat16_is_what_its_instruction_is_specified_to_be()
    {
        Assert.SkipUnless(MachineTiles.HasBFloat16, "No bfloat16 tiles here.");
        s_shapes.Repeatable().Sample(shape => CheckBFloat16(shape), iter: Effort.Iterations(20_000), threads: 1);
    }

    /// <summary>2^oddA · 2^oddB − digits · 2^exponent, the odd product first; what is expected counts in 2⁻¹²⁶.</summary>
    [Theory]
    [InlineData(-63, -63, 1, -150, 0)] // 2⁻¹²⁶ − 2⁻¹⁵⁰ has 24 digits and is smaller than 2⁻¹²⁶
    [InlineData(-63, -63, 1, -151, 1)] // a tie: to even, which is 2⁻¹²⁶
    [InlineData(-63, -63, 3, -152, 0)] // nearer to 2⁻¹²⁶ − 2⁻¹⁵⁰, though as a denormal it would be rounded to 2⁻¹²⁶
    [InlineData(-63, -63, 1, -152, 1)]
    [InlineData(-63, -64, -1, -127, 0)] // the odd product alone is flushed, so the sum is too
    [InlineData(-130, 20, 0, 0, 0)] // a denormal factor is zero
    [InlineData(100, 100, 1, 200, float.PositiveInfinity)] // the odd product overflows; the even one is never rounded to −∞
    public void What_is_too_small_or_too_large_ends_as_specified(int oddA, int oddB, int digits, int exponent, float expectedInSmallest)
    {
        Assert.SkipUnless(MachineTiles.HasBFloat16, "No bfloat16 tiles here.");
        ushort[] a = [Number(-digits, exponent / 2), Number(1, oddA)], b = [Number(1, exponent - exponent / 2), Number(1, oddB)];
        float expected = MathF.ScaleB(expectedInSmallest, -126), twin = TileTwin.BFloat16(0, a[0], a[1], b[0], b[1]);
        ushort[] panel = new ushort[2 * s_columns];
        for (int column = 0; column < s_columns; column++) b.CopyTo(panel, 2 * column);
        float[] y = Call<ushort, ushort, float>(MachineTiles.BFloat16(1), new Shape(1, 1, 1, false, false, Numbers.Usual, 0, 0), a, panel, new float[s_columns], new float[s_columns]);
        Assert.Equal(expected, twin);
        Assert.All(y, actual => Assert.Equal(expected, actual));

        static ushort Number(int digits, int exponent) => (ushort)(BitConverter.SingleToInt32Bits(MathF.ScaleB(digits, exponent)) >> 16);
    }

    [Fact]
    public void Int8_is_what_its_instruction_is_specified_to_be()
    {
        Assert.SkipUnless(MachineTiles.HasInt8, "No int8 tiles here.");
        s_shapes.Repeatable().Sample(shape => CheckInt8(shape), iter: Effort.Iterations(20_000), threads: 1);
    }

    [Fact]
    public void Amx_is_what_its_instructions_are_specified_to_be()
    {
        Assert.SkipUnless(MachineTiles.HasAmx, "No AMX here.");
        ThreadOfItsOwn.Run(() => s_amxShapes.Repeatable().Sample(shape =>
        {
            (ushort[] a, ushort[] b, float[] start, float[] c) = shape.ForBFloat16();
            float[] actual = Call<ushort, ushort, float>(MachineTiles.AmxBFloat16(shape.Rows), shape, a, b, start, c);
            ushort[] own = new ushort[2 * MachineTiles.AmxSteps], met = new ushort[own.Length];
            for (int row = 0; row < shape.AllRows; row++)
                for (int column = 0; column < s_columns; column++)
                {
                    float sum = shape.Add ? c[row * s_columns + column] : shape.Start ? start[column] : 0;
                    for (int step = 0; step < shape.Steps; step += MachineTiles.AmxSteps)
                    {
                        for (int i = 0; i < own.Length; i++)
                        {
                            own[i] = a[2 * (row * shape.Steps + step) + i];
                            met[i] = b[2 * ((step + i / 2) * s_columns + column) + i % 2];
                        }
                        sum = TileTwin.AmxBFloat16(sum, own, met);
                    }
                    Same(shape, row, column, shape.Add && shape.Start ? sum + start[column] : sum, actual[row * s_columns + column]);
                }
            (byte[] a8, sbyte[] b8, int[] start8, int[] c8) = shape.ForInt8();
            CompareInt8(shape, a8, b8, start8, c8, Call<byte, sbyte, int>(MachineTiles.AmxInt8(shape.Rows), shape, a8, b8, start8, c8));
        }, iter: Effort.Iterations(20_000), threads: 1));
    }

    [Fact]
    public void A_row_has_the_same_bits_in_an_Amx_tile_of_any_height()
    {
        Assert.SkipUnless(MachineTiles.HasAmx, "No AMX here.");
        ThreadOfItsOwn.Run(() => Gen.Select(s_amxShapes, Gen.Int[1, MachineTiles.AmxRows]).Repeatable().Sample((shape, rows) =>
        {
            (ushort[] a, ushort[] b, float[] start, float[] c) = shape.ForBFloat16();
            float[] all = Call<ushort, ushort, float>(MachineTiles.AmxBFloat16(shape.Rows), shape, a, b, start, c);
            Shape part = shape with { Rows = Math.Min(rows, shape.Rows), Tiles = 1 };
            int before = shape.AllRows - part.Rows;
            Bits.Equal(all.AsSpan(before * s_columns), Call<ushort, ushort, float>(MachineTiles.AmxBFloat16(part.Rows), part, a[(before * 2 * shape.Steps)..], b, start, c[(before * s_columns)..]));
        }, iter: Effort.Iterations(2_000), threads: 1));
    }

    [Fact]
    public void A_row_has_the_same_bits_in_a_tile_of_any_height()
    {
        Assert.SkipUnless(MachineTiles.HasFloat32, "No tiles here.");
        Gen.Select(s_shapes, Gen.Int[1, MachineTiles.Rows]).Repeatable().Sample((shape, rows) =>
        {
            // The last rows, so that each has another place in its tile.
            Shape part = shape with { Rows = Math.Min(rows, shape.Rows), Tiles = 1 };
            int before = shape.AllRows - part.Rows;
            {
                (float[] a, float[] b, float[] start, float[] c) = shape.ForFloat32();
                float[] all = Call<float, float, float>(MachineTiles.Float32(shape.Rows), shape, a, b, start, c);
                Bits.Equal(all.AsSpan(before * s_columns), Call<float, float, float>(MachineTiles.Float32(part.Rows), part, a[(before * shape.Steps)..], b, start, c[(before * s_columns)..]));
            }
            if (MachineTiles.HasWidening)
            {
                (float[] a, ushort[] b, float[] start, float[] c) = shape.ForWidening();
                float[] all = Call<float, ushort, float>(MachineTiles.Widening(shape.Rows), shape, a, b, start, c);
                Bits.Equal(all.AsSpan(before * s_columns), Call<float, ushort, float>(MachineTiles.Widening(part.Rows), part, a[(before * shape.Steps)..], b, start, c[(before * s_columns)..]));
            }
            if (MachineTiles.HasBFloat16)
            {
                (ushort[] a, ushort[] b, float[] start, float[] c) = shape.ForBFloat16();
                float[] all = Call<ushort, ushort, float>(MachineTiles.BFloat16(shape.Rows), shape, a, b, start, c);
                Bits.Equal(all.AsSpan(before * s_columns), Call<ushort, ushort, float>(MachineTiles.BFloat16(part.Rows), part, a[(before * 2 * shape.Steps)..], b, start, c[(before * s_columns)..]));
            }
        }, iter: Effort.Iterations(5_000), threads: 1);
    }

    [Fact]
    public void Rows_of_any_number_are_cut_into_tiles()
    {
        Assert.SkipUnless(MachineTiles.HasFloat32, "No float32 tiles here.");
        // Enough steps for several calls. The sums are whole numbers below 2²⁴, so float32 has them exactly.
        foreach (int steps in (int[])[0, 1, 500, 5_000])
            for (int rows = 1; rows <= 40; rows++)
            {
                float[] a = [.. Enumerable.Range(0, rows * steps).Select(i => i % 19 - 9f)], b = [.. Enumerable.Range(0, s_columns * steps).Select(i => i % 23 - 11f)], c = new float[rows * s_columns];
                fixed (float* pa = a, pb = b, pc = c)
                {
                    TileCall call = new() { A = (byte*)pa, AStride = 4 * steps, B = (byte*)pb, BStride = 4 * s_columns, C = (byte*)pc, CStride = 4 * s_columns, Steps = steps };
                    MachineTiles.MultiplyFloat32(ref call, rows);
                }
                for (int row = 0; row < rows; row++)
                    Assert.Equal(Enumerable.Range(0, steps).Sum(k => a[row * steps + k] * b[k * s_columns + row % s_columns]), c[row * s_columns + row % s_columns]);
            }
    }

    [Fact]
    public void Many_threads_and_collections_change_nothing()
    {
        Assert.SkipUnless(MachineTiles.HasFloat32, "No tiles here.");
        const int threads = 8;
        int calls = Effort.Iterations(400), atWork = threads;
        var failures = new string?[threads];
        Thread[] team = [.. Enumerable.Range(0, threads).Select(number => new Thread(() =>
        {
            OwnThreads.Join(); // A tile is interrupted where it runs.
            failures[number] = Repeat(new Shape(MachineTiles.Rows - number % 4, 1, 384, number % 4 < 2, number % 2 == 0, Numbers.Usual, 0, number), calls);
            Interlocked.Decrement(ref atWork);
        }))];
        Array.ForEach(team, thread => thread.Start());
        while (Volatile.Read(ref atWork) > 0) GC.Collect();
        Array.ForEach(team, thread => thread.Join());
        Assert.All(failures, Assert.Null);
    }

    [Fact]
    public void A_height_that_no_tile_has_is_refused()
    {
        Assert.SkipUnless(MachineTiles.HasFloat32, "No tiles here.");
        Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.Float32(0));
        Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.Float32(MachineTiles.Rows + 1));
        if (MachineTiles.HasInt8) Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.Int8(MachineTiles.Rows + 1));
        if (MachineTiles.HasWidening) Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.Widening(0));
        if (MachineTiles.HasBFloat16) Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.BFloat16(0));
        if (!MachineTiles.HasAmx) return;
        Assert.Throws<ArgumentOutOfRangeException>(() => (nint)MachineTiles.AmxBFloat16(0));
        Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.AmxInt8(MachineTiles.AmxRows + 1));
    }

    [Fact]
    public void Tiles_are_there_exactly_where_the_level_asks_for_them_and_the_system_gives_them()
    {
        bool avx2 = SimdSupport.Level == SimdLevel.Avx2;
        Assert.Equal(SimdSupport.Level >= SimdLevel.Avx512Vnni || avx2, MachineTiles.HasFloat32 || MachineTiles.Refusal != null);
        Assert.Equal(MachineTiles.HasFloat32 && !(avx2 && AvxVnni.IsSupported), MachineTiles.HasInt8);
        Assert.Equal(MachineTiles.HasFloat32 && avx2, MachineTiles.HasWidening);
        Assert.Equal(MachineTiles.HasFloat32 && SimdSupport.Level >= SimdLevel.Avx512Bf16, MachineTiles.HasBFloat16);
        if (!MachineTiles.HasFloat32) Assert.Throws<PlatformNotSupportedException>(() => (nint)MachineTiles.Float32(1));
        if (!MachineTiles.HasInt8) Assert.Throws<PlatformNotSupportedException>(() => (nint)MachineTiles.Int8(1));
        if (!MachineTiles.HasWidening) Assert.Throws<PlatformNotSupportedException>(() => (nint)MachineTiles.Widening(1));
        if (!MachineTiles.HasBFloat16) Assert.Throws<PlatformNotSupportedException>(() => (nint)MachineTiles.BFloat16(1));
        Assert.Equal(MachineTiles.HasInt8 && SimdSupport.Level >= SimdLevel.Amx, MachineTiles.HasAmx);
        if (!MachineTiles.HasAmx) Assert.Throws<PlatformNotSupportedException>(() => (nint)MachineTiles.AmxInt8(1));
    }

    [Fact]
    public void Memory_that_the_system_does_not_give_is_a_reason_and_no_exception()
    {
        Assert.True(ExecutableMemory.Load([], out string? refusal) == null);
        Assert.Contains("refused executable memory (", refusal);
    }

    /// <summary>A description of the first call whose sums differ from the first's, between allocations.</summary>
    private static string? Repeat(Shape shape, int calls)
    {
        (ushort[] a, ushort[] b, float[] start, float[] c) = shape.ForBFloat16();
        float[]? first = null;
        for (int call = 0; call < calls; call++)
        {
            float[] y = [.. c];
            fixed (ushort* pa = a, pb = b)
            fixed (float* py = y, pStart = start)
            {
                TileCall tile = new()
                {
                    A = (byte*)pa,
                    AStride = 4 * shape.Steps,
                    B = (byte*)pb,
                    BStride = 4 * s_columns,
                    C = (byte*)py,
                    CStride = 4 * s_columns,
                    Start = shape.Start ? pStart : null,
                    Added = shape.Add ? (byte*)py : null,
                    AddedStride = 4 * s_columns,
                    Steps = shape.Steps,
                    Tiles = 1,
                    Next = (byte*)pb,
                    Rows = shape.Rows,
                    Registers = MachineTiles.HasAmx ? MachineTiles.Registers(shape.Rows) : null,
                };
                if (MachineTiles.HasAmx) MachineTiles.AmxBFloat16(shape.Rows)(&tile);
                else if (MachineTiles.HasBFloat16) MachineTiles.BFloat16(shape.Rows)(&tile);
                else MachineTiles.Float32(shape.Rows)(&tile); // Two bfloat16 are a float32.
            }
            first ??= y;
            if (!y.AsSpan().SequenceEqual(first)) return $"Call {call} of {shape} gave other numbers.";
        }
        return null;
    }

    private void CheckFloat32(Shape shape)
    {
        (float[] a, float[] b, float[] start, float[] c) = shape.ForFloat32();
        Compare(shape, c, Call<float, float, float>(MachineTiles.Float32(shape.Rows), shape, a, b, start, c), (row, column) =>
        {
            float sum = shape.Start ? start[column] : 0;
            for (int step = 0; step < shape.Steps; step++) sum = MathF.FusedMultiplyAdd(a[row * shape.Steps + step], b[step * s_columns + column], sum);
            return sum;
        });
    }

    private void CheckBFloat16(Shape shape)
    {
        (ushort[] a, ushort[] b, float[] start, float[] c) = shape.ForBFloat16();
        Compare(shape, c, Call<ushort, ushort, float>(MachineTiles.BFloat16(shape.Rows), shape, a, b, start, c), (row, column) =>
        {
            float sum = shape.Start ? start[column] : 0;
            for (int step = 0; step < shape.Steps; step++)
            {
                int i = 2 * (row * shape.Steps + step), j = 2 * (step * s_columns + column);
                sum = TileTwin.BFloat16(sum, a[i], a[i + 1], b[j], b[j + 1]);
            }
            return sum;
        });
    }

    private void CheckWidening(Shape shape)
    {
        (float[] a, ushort[] b, float[] start, float[] c) = shape.ForWidening();
        Compare(shape, c, Call<float, ushort, float>(MachineTiles.Widening(shape.Rows), shape, a, b, start, c), (row, column) =>
        {
            float sum = shape.Start ? start[column] : 0;
            for (int step = 0; step < shape.Steps; step++)
                sum = MathF.FusedMultiplyAdd(a[row * shape.Steps + step], BitConverter.Int32BitsToSingle(b[step * s_columns + BFloat16Panel.Place(column)] << 16), sum);
            return sum;
        });
    }

    private static void Compare(Shape shape, float[] c, float[] y, Func<int, int, float> sumOf)
    {
        for (int row = 0; row < shape.AllRows; row++)
            for (int column = 0; column < s_columns; column++)
            {
                float sum = sumOf(row, column), expected = !shape.Add ? sum : c[row * s_columns + column] + sum, actual = y[row * s_columns + column];
                Same(shape, row, column, expected, actual);
            }
    }

    private static void Same(Shape shape, int row, int column, float expected, float actual)
    {
        if (!(float.IsNaN(expected) && float.IsNaN(actual)) && BitConverter.SingleToInt32Bits(expected) != BitConverter.SingleToInt32Bits(actual))
            Assert.Fail($"Row {row}, column {column} of {shape} is {actual:g9}, not {expected:g9}.");
    }

    private void CheckInt8(Shape shape)
    {
        (byte[] a, sbyte[] b, int[] start, int[] c) = shape.ForInt8();
        CompareInt8(shape, a, b, start, c, Call<byte, sbyte, int>(MachineTiles.Int8(shape.Rows), shape, a, b, start, c));
    }

    private static void CompareInt8(Shape shape, byte[] a, sbyte[] b, int[] start, int[] c, int[] y)
    {
        int group = QuantizedTile.Group;
        for (int row = 0; row < shape.AllRows; row++)
            for (int column = 0; column < s_columns; column++)
            {
                int sum = (shape.Add ? c[row * s_columns + column] : 0) + (shape.Start ? start[column] : 0);
                for (int step = 0; step < shape.Steps; step++)
                    sum = TileTwin.Int8(sum, a.AsSpan(group * (row * shape.Steps + step), group), b.AsSpan(group * (step * s_columns + column), group));
                if (sum != y[row * s_columns + column]) Assert.Fail($"Row {row}, column {column} of {shape} is {y[row * s_columns + column]}, not {sum}.");
            }
    }

    /// <summary>
    /// The tile's C (rows, columns of a panel). A, B, C, what it starts from and what is added end at forbidden pages, and there are gaps between the rows of A and C and the steps of B:
    /// what is in C's must stay as it was. What is added is C itself where the seed is even.
    /// </summary>
    private TC[] Call<TA, TB, TC>(delegate* unmanaged[SuppressGCTransition]<TileCall*, void> tile, Shape shape, TA[] a, TB[] b, TC[] start, TC[] c)
        where TA : unmanaged where TB : unmanaged where TC : unmanaged
    {
        const byte untouched = 0xa5;
        int rows = shape.AllRows, aRow = 4 * shape.Steps, bRow = sizeof(TB) * b.Length / Math.Max(1, shape.Steps), cRow = 4 * s_columns, aStride = aRow + shape.Gap, bStride = bRow + shape.Gap, cStride = cRow + shape.Gap;
        byte* panel = _b.End - Math.Max(0, shape.Steps * bStride - shape.Gap), result = _c.End - (rows - 1) * cStride - cRow, added = shape.Seed % 2 == 0 ? result : _added.End - rows * cRow;
        nint addedStride = added == result ? cStride : cRow;
        TileCall call = new()
        {
            A = _a.End - (rows - 1) * aStride - aRow,
            AStride = aStride,
            B = panel,
            BStride = bStride,
            C = result,
            CStride = cStride,
            Start = shape.Start ? _start.End - cRow : null,
            Added = shape.Add ? added : null,
            AddedStride = addedStride,
            Steps = shape.Steps,
            Tiles = shape.Tiles,
            Next = panel,
            Ahead = shape.Gap,
            Rows = shape.Rows,
            Registers = MachineTiles.HasAmx ? MachineTiles.Registers(shape.Rows) : null,
        };
        byte* first = result - Gap;
        new Span<byte>(first, (int)(_c.End - first)).Fill(untouched);
        MemoryMarshal.AsBytes(start.AsSpan()).CopyTo(new Span<byte>(_start.End - cRow, cRow));
        for (int step = 0; step < shape.Steps; step++) MemoryMarshal.AsBytes(b.AsSpan()).Slice(step * bRow, bRow).CopyTo(new Span<byte>(panel + step * bStride, bRow));
        for (int row = 0; row < rows; row++)
        {
            MemoryMarshal.AsBytes(a.AsSpan()).Slice(row * aRow, aRow).CopyTo(new Span<byte>(call.A + row * aStride, aRow));
            MemoryMarshal.AsBytes(c.AsSpan()).Slice(row * cRow, cRow).CopyTo(new Span<byte>(added + row * addedStride, cRow));
        }
        tile(&call);
        Assert.True(call.C == result + rows * cStride, $"{shape} is not told where the rows below it are.");
        var y = new TC[c.Length];
        for (int row = 0; row < rows; row++)
        {
            byte* place = result + row * cStride;
            new Span<byte>(place, cRow).CopyTo(MemoryMarshal.AsBytes(y.AsSpan())[(row * cRow)..]);
            new Span<byte>(place, cRow).Fill(untouched);
        }
        Assert.False(new Span<byte>(first, (int)(_c.End - first)).ContainsAnyExcept(untouched), $"{shape} wrote beside C.");
        return y;
    }

    /// <summary>The sizes and numbers of tiles below each other; <paramref name="Gap"/> bytes between the rows of A, of C, and the steps of B.</summary>
    public sealed record Shape(int Rows, int Tiles, int Steps, bool Start, bool Add, Numbers Numbers, int Gap, int Seed)
    {
        private readonly Random _random = new(Seed);

        public int AllRows => Rows * Tiles;

        public (float[] A, float[] B, float[] Start, float[] C) ForFloat32() => (Draw(AllRows * Steps, Float32), Draw(s_columns * Steps, Float32), Draw(s_columns, Float32), Draw(AllRows * s_columns, Float32));

        public (float[] A, ushort[] B, float[] Start, float[] C) ForWidening() => (Draw(AllRows * Steps, Float32), Draw(s_columns * Steps, BFloat16), Draw(s_columns, Float32), Draw(AllRows * s_columns, Float32));

        public (ushort[] A, ushort[] B, float[] Start, float[] C) ForBFloat16() =>
            (Draw(AllRows * 2 * Steps, BFloat16), Draw(s_columns * 2 * Steps, BFloat16), Draw(s_columns, Float32), Draw(AllRows * s_columns, Float32));

        public (byte[] A, sbyte[] B, int[] Start, int[] C) ForInt8() => (Draw(AllRows * QuantizedTile.Group * Steps, UInt8), Draw(s_columns * 2 * Steps, Pair).SelectMany(pair => pair).ToArray(), Draw(s_columns, Int32), Draw(AllRows * s_columns, Int32));

        // Where it is not any bits: any sign and digits, and exponents around 0, or such that products are around 2⁻¹²⁶.
        private ushort BFloat16() => (ushort)(AnyBits() ? _random.Next(1 << 16)
            : _random.Next(1 << 16) & 0x807f | (Numbers == Numbers.Extreme ? _random.Next(60, 68) : _random.Next(120, 132)) << 7);

        private float Float32() => BitConverter.Int32BitsToSingle(AnyBits() ? Any()
            : Any() & ~0x7f800000 | (Numbers == Numbers.Extreme ? _random.Next(0, 12) : _random.Next(120, 132)) << 23);

        private byte UInt8() => (byte)(Numbers == Numbers.Extreme ? 255 : _random.Next(256));

        // Of AVX2's tile neighbours must not add up to more than ±128; the others take any.
        private sbyte[] Pair() => MachineTiles.IsAvx2 ? Int8Pairs.Draw(_random, Numbers == Numbers.Extreme) : [Int8(), Int8()];

        private sbyte Int8() => (sbyte)(Numbers == Numbers.Extreme ? (Seed & 1) * 255 - 128 : _random.Next(-128, 128));

        private int Int32() => Numbers == Numbers.Usual ? _random.Next(-1000, 1000) : Any();

        private int Any() => _random.Next(int.MinValue, int.MaxValue);

        private bool AnyBits() => Numbers == Numbers.Any || Numbers == Numbers.Mixed && _random.Next(8) == 0;

        private static T[] Draw<T>(int count, Func<T> number)
        {
            var numbers = new T[count];
            for (int i = 0; i < count; i++) numbers[i] = number();
            return numbers;
        }
    }
}
