using System.Runtime.InteropServices;
using CsCheck;
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

    private void CheckBFloat16(Shape shape)
    {
        (ushort[] a, ushort[] b, float[] c) = (shape.BFloat16(shape.Rows * 2 * shape.Steps), shape.BFloat16(Columns * 2 * shape.Steps), shape.Float32(shape.Rows * Columns));
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
        (byte[] a, sbyte[] b, int[] c) = (shape.UInt8(shape.Rows * 4 * shape.Steps), shape.Int8(Columns * 4 * shape.Steps), shape.Int32(shape.Rows * Columns));
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

        public ushort[] BFloat16(int count) => Draw(count, () => Bits() switch
        {
            true => (ushort)_random.Next(1 << 16),
            // Signs and digits of any kind; exponents around 0, or such that products are around 2⁻¹²⁶.
            false => (ushort)(_random.Next(1 << 16) & 0x807f | (Numbers == Numbers.Extreme ? _random.Next(60, 68) : _random.Next(120, 132)) << 7),
        });

        public float[] Float32(int count) => Draw(count, () => BitConverter.Int32BitsToSingle(Bits() ? _random.Next(int.MinValue, int.MaxValue)
            : _random.Next(int.MinValue, int.MaxValue) & ~0x7f800000 | (Numbers == Numbers.Extreme ? _random.Next(0, 12) : _random.Next(120, 132)) << 23));

        public byte[] UInt8(int count) => Draw(count, () => (byte)(Numbers == Numbers.Extreme ? 255 : _random.Next(256)));

        public sbyte[] Int8(int count) => Draw(count, () => (sbyte)(Numbers == Numbers.Extreme ? (Seed & 1) * 255 - 128 : _random.Next(-128, 128)));

        public int[] Int32(int count) => Draw(count, () => Numbers == Numbers.Usual ? _random.Next(-1000, 1000) : _random.Next(int.MinValue, int.MaxValue));

        private static T[] Draw<T>(int count, Func<T> number)
        {
            var numbers = new T[count];
            for (int i = 0; i < count; i++) numbers[i] = number();
            return numbers;
        }

        private bool Bits() => Numbers == Numbers.Any || Numbers == Numbers.Mixed && _random.Next(8) == 0;
    }
}
