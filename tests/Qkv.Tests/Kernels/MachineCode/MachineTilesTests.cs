using System.Runtime.InteropServices;
using CsCheck;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels.MachineCode;

/// <summary>The tiles in machine code, bit for bit against the specifications of their instructions.</summary>
[Trait("Suite", "Numerical")]
public unsafe class MachineTilesTests : IDisposable
{
    private const int MaxSteps = 40, Columns = 32, Gap = 100;

    private static readonly Gen<Shape> s_shapes =
        Gen.Select(Gen.Int[1, MachineTiles.Rows], Gen.Int[0, MaxSteps], Gen.Bool, Gen.Enum<Numbers>(), Gen.Int[0, Gap / 4], Gen.Int)
            .Select((rows, steps, add, numbers, gap, seed) => new Shape(rows, steps, add, numbers, 4 * gap, seed));

    private readonly GuardedMemory _a = new(MachineTiles.Rows * (4 * MaxSteps + Gap)), _b = new(128 * MaxSteps), _c = new(MachineTiles.Rows * (4 * Columns + Gap) + Gap);

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
        _c.Dispose();
    }

    [Fact]
    public void BFloat16_is_what_its_instruction_is_specified_to_be()
    {
        Assert.SkipUnless(MachineTiles.HasBFloat16, "No bfloat16 tiles here.");
        s_shapes.Repeatable().Sample(shape => CheckBFloat16(shape), iter: Effort.Iterations(20_000), threads: 1);
    }

    [Fact]
    public void Int8_is_what_its_instruction_is_specified_to_be()
    {
        Assert.SkipUnless(MachineTiles.HasInt8, "No int8 tiles here.");
        s_shapes.Repeatable().Sample(shape => CheckInt8(shape), iter: Effort.Iterations(20_000), threads: 1);
    }

    [Fact]
    public void A_row_has_the_same_bits_in_a_tile_of_any_height()
    {
        Assert.SkipUnless(MachineTiles.HasBFloat16, "No bfloat16 tiles here.");
        Gen.Select(s_shapes, Gen.Int[1, MachineTiles.Rows]).Repeatable().Sample((shape, rows) =>
        {
            (ushort[] a, ushort[] b, float[] c) = shape.ForBFloat16();
            (byte[] a8, sbyte[] b8, int[] c8) = shape.ForInt8();
            float[] all = Call<ushort, ushort, float>(MachineTiles.BFloat16(shape.Rows), shape, a, b, c);
            int[] all8 = Call<byte, sbyte, int>(MachineTiles.Int8(shape.Rows), shape, a8, b8, c8);
            // The last rows, so that each has another place in its tile.
            Shape part = shape with { Rows = Math.Min(rows, shape.Rows) };
            int before = shape.Rows - part.Rows;
            Bits.Equal(all.AsSpan(before * Columns), Call<ushort, ushort, float>(MachineTiles.BFloat16(part.Rows), part, a[(before * 2 * shape.Steps)..], b, c[(before * Columns)..]));
            Assert.Equal(all8[(before * Columns)..], Call<byte, sbyte, int>(MachineTiles.Int8(part.Rows), part, a8[(before * 4 * shape.Steps)..], b8, c8[(before * Columns)..]));
        }, iter: Effort.Iterations(5_000), threads: 1);
    }

    [Fact]
    public void Many_threads_and_collections_change_nothing()
    {
        Assert.SkipUnless(MachineTiles.HasBFloat16, "No bfloat16 tiles here.");
        const int threads = 8;
        int calls = Effort.Iterations(400), atWork = threads;
        var failures = new string?[threads];
        Thread[] team = [.. Enumerable.Range(0, threads).Select(number => new Thread(() =>
        {
            failures[number] = Repeat(new Shape(MachineTiles.Rows - number % 4, 384, number % 2 == 0, Numbers.Usual, 0, number), calls);
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
        Assert.SkipUnless(MachineTiles.HasBFloat16, "No bfloat16 tiles here.");
        Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.BFloat16(0));
        Assert.Throws<IndexOutOfRangeException>(() => (nint)MachineTiles.Int8(MachineTiles.Rows + 1));
    }

    [Fact]
    public void Tiles_are_there_exactly_where_the_level_asks_for_them_and_the_system_gives_them()
    {
        Assert.Equal(SimdSupport.Level >= SimdLevel.Avx512Vnni, MachineTiles.HasInt8 || MachineTiles.Refusal != null);
        Assert.Equal(MachineTiles.HasInt8 && SimdSupport.Level >= SimdLevel.Avx512Bf16, MachineTiles.HasBFloat16);
        if (!MachineTiles.HasInt8) Assert.Throws<PlatformNotSupportedException>(() => (nint)MachineTiles.Int8(1));
        if (!MachineTiles.HasBFloat16) Assert.Throws<PlatformNotSupportedException>(() => (nint)MachineTiles.BFloat16(1));
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
        (ushort[] a, ushort[] b, float[] c) = shape.ForBFloat16();
        float[]? first = null;
        for (int call = 0; call < calls; call++)
        {
            float[] y = [.. c];
            fixed (ushort* pa = a, pb = b)
            fixed (float* py = y)
            {
                TileCall tile = new() { A = (byte*)pa, AStride = 4 * shape.Steps, B = (byte*)pb, C = py, CStride = 4 * Columns, Steps = shape.Steps, Add = shape.Add ? 1 : 0, Next = (byte*)pb };
                MachineTiles.BFloat16(shape.Rows)(&tile);
            }
            first ??= y;
            if (!y.AsSpan().SequenceEqual(first)) return $"Call {call} of {shape} gave other numbers.";
        }
        return null;
    }

    private void CheckBFloat16(Shape shape)
    {
        (ushort[] a, ushort[] b, float[] c) = shape.ForBFloat16();
        float[] y = Call<ushort, ushort, float>(MachineTiles.BFloat16(shape.Rows), shape, a, b, c);
        for (int row = 0; row < shape.Rows; row++)
            for (int column = 0; column < Columns; column++)
            {
                float sum = 0;
                for (int step = 0; step < shape.Steps; step++)
                {
                    int i = 2 * (row * shape.Steps + step), j = 2 * (step * Columns + column);
                    sum = TileTwin.BFloat16(sum, a[i], a[i + 1], b[j], b[j + 1]);
                }
                float expected = !shape.Add ? sum : c[row * Columns + column] + sum, actual = y[row * Columns + column];
                if (!(float.IsNaN(expected) && float.IsNaN(actual)) && BitConverter.SingleToInt32Bits(expected) != BitConverter.SingleToInt32Bits(actual))
                    Assert.Fail($"Row {row}, column {column} of {shape} is {actual:g9}, not {expected:g9}.");
            }
    }

    private void CheckInt8(Shape shape)
    {
        (byte[] a, sbyte[] b, int[] c) = shape.ForInt8();
        int[] y = Call<byte, sbyte, int>(MachineTiles.Int8(shape.Rows), shape, a, b, c);
        for (int row = 0; row < shape.Rows; row++)
            for (int column = 0; column < Columns; column++)
            {
                int sum = shape.Add ? c[row * Columns + column] : 0;
                for (int step = 0; step < shape.Steps; step++)
                    sum = TileTwin.Int8(sum, a.AsSpan(4 * (row * shape.Steps + step), 4), b.AsSpan(4 * (step * Columns + column), 4));
                if (sum != y[row * Columns + column]) Assert.Fail($"Row {row}, column {column} of {shape} is {y[row * Columns + column]}, not {sum}.");
            }
    }

    /// <summary>
    /// The tile's C (rows, 32). A, B and C end at forbidden pages, and between the rows of A and C there are gaps: what is in C's must stay as it was.
    /// </summary>
    private TC[] Call<TA, TB, TC>(delegate* unmanaged[SuppressGCTransition]<TileCall*, void> tile, Shape shape, TA[] a, TB[] b, TC[] c)
        where TA : unmanaged where TB : unmanaged where TC : unmanaged
    {
        const byte untouched = 0xa5;
        int aRow = 4 * shape.Steps, cRow = 4 * Columns, aStride = aRow + shape.Gap, cStride = cRow + shape.Gap;
        TileCall call = new()
        {
            A = _a.End - (shape.Rows - 1) * aStride - aRow,
            AStride = aStride,
            B = _b.End - 128 * shape.Steps,
            C = _c.End - (shape.Rows - 1) * cStride - cRow,
            CStride = cStride,
            Steps = shape.Steps,
            Add = shape.Add ? 1 : 0,
            Next = _b.End - 128 * shape.Steps,
            Ahead = shape.Gap,
        };
        byte* first = (byte*)call.C - Gap;
        new Span<byte>(first, (int)(_c.End - first)).Fill(untouched);
        MemoryMarshal.AsBytes(b.AsSpan()).CopyTo(new Span<byte>(call.B, 128 * shape.Steps));
        for (int row = 0; row < shape.Rows; row++)
        {
            MemoryMarshal.AsBytes(a.AsSpan()).Slice(row * aRow, aRow).CopyTo(new Span<byte>(call.A + row * aStride, aRow));
            MemoryMarshal.AsBytes(c.AsSpan()).Slice(row * cRow, cRow).CopyTo(new Span<byte>((byte*)call.C + row * cStride, cRow));
        }
        tile(&call);
        var y = new TC[c.Length];
        for (int row = 0; row < shape.Rows; row++)
        {
            byte* place = (byte*)call.C + row * cStride;
            new Span<byte>(place, cRow).CopyTo(MemoryMarshal.AsBytes(y.AsSpan())[(row * cRow)..]);
            new Span<byte>(place, cRow).Fill(untouched);
        }
        Assert.False(new Span<byte>(first, (int)(_c.End - first)).ContainsAnyExcept(untouched), $"{shape} wrote beside C.");
        return y;
    }

    /// <summary>A tile's sizes and numbers; <paramref name="Gap"/> bytes between the rows of A, and of C.</summary>
    public sealed record Shape(int Rows, int Steps, bool Add, Numbers Numbers, int Gap, int Seed)
    {
        private readonly Random _random = new(Seed);

        public (ushort[] A, ushort[] B, float[] C) ForBFloat16() => (Draw(Rows * 2 * Steps, BFloat16), Draw(Columns * 2 * Steps, BFloat16), Draw(Rows * Columns, Float32));

        public (byte[] A, sbyte[] B, int[] C) ForInt8() => (Draw(Rows * 4 * Steps, UInt8), Draw(Columns * 4 * Steps, Int8), Draw(Rows * Columns, Int32));

        // Where it is not any bits: any sign and digits, and exponents around 0, or such that products are around 2⁻¹²⁶.
        private ushort BFloat16() => (ushort)(AnyBits() ? _random.Next(1 << 16)
            : _random.Next(1 << 16) & 0x807f | (Numbers == Numbers.Extreme ? _random.Next(60, 68) : _random.Next(120, 132)) << 7);

        private float Float32() => BitConverter.Int32BitsToSingle(AnyBits() ? Any()
            : Any() & ~0x7f800000 | (Numbers == Numbers.Extreme ? _random.Next(0, 12) : _random.Next(120, 132)) << 23);

        private byte UInt8() => (byte)(Numbers == Numbers.Extreme ? 255 : _random.Next(256));

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
