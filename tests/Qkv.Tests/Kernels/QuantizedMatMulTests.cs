using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using CsCheck;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Tests.Kernels.MachineCode;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels;

/// <summary>int8 products: exact sums with the instructions of every processor, roundings as defined, nothing finite from what is not. (<see cref="MatMulTests"/> has the shapes.)</summary>
[Trait("Suite", "Numerical")]
public unsafe class QuantizedMatMulTests
{
    private delegate void Tile(byte* a, nint aStride, sbyte* b, int* c, nint cStride, int rows, int steps, bool add, sbyte* next);

    private static readonly Dictionary<string, (bool Runs, bool InPairs, int Offset, Tile Tile)> s_tiles = new()
    {
        ["chosen"] = (true, true, QuantizedTile.Offset, QuantizedTile.Multiply),
        ["neon"] = (true, false, 128, Neon),
        ["vnni256"] = (AvxVnni.IsSupported, false, 0, QuantizedTile.Multiply<Vector256<int>, QuantizedTile.Lanes256, QuantizedTile.Vnni256>),
        ["dot256"] = (Avx2.IsSupported, true, 0, QuantizedTile.Multiply<Vector256<int>, QuantizedTile.Lanes256, QuantizedTile.Dot256>),
        ["dot128"] = (Ssse3.IsSupported, true, 0, QuantizedTile.Multiply<Vector128<int>, QuantizedTile.Lanes128, QuantizedTile.Dot128>),
        ["neon128"] = (AdvSimd.Arm64.IsSupported, true, 128, QuantizedTile.Multiply<Vector128<int>, QuantizedTile.Lanes128, QuantizedTile.Neon128>),
        ["scalar"] = (true, false, 0, QuantizedTile.Multiply<int, QuantizedTile.OneLane, QuantizedTile.DotScalar>),
    };

    private static void Neon(byte* a, nint aStride, sbyte* b, int* c, nint cStride, int rows, int steps, bool add, sbyte* next) =>
        NeonTile.Multiply<NeonTileTests.PlainInt8>(a, aStride, (byte*)b, 4 * MatMulTile.PanelWidth, TileEnds.Of(c, cStride, add), rows, steps);

    [Theory]
    [InlineData("chosen")]
    [InlineData("neon")]
    [InlineData("vnni256")]
    [InlineData("dot256")]
    [InlineData("dot128")]
    [InlineData("neon128")]
    [InlineData("scalar")]
    public void Every_tile_adds_exactly(string name)
    {
        (bool runs, bool inPairs, int offset, Tile tile) = s_tiles[name];
        Assert.SkipUnless(runs, "This processor has no such instruction.");
        ThreadOfItsOwn.Run(() => AddsExactly(name, inPairs, offset, tile));
    }

    private static void AddsExactly(string name, bool inPairs, int offset, Tile tile)
    {
        const int mostRows = 26, mostSteps = 70, gap = 5;
        // Both end where memory does: nothing beyond the last row and the last step may be read.
        using GuardedMemory aMemory = new(mostRows * (4 * mostSteps + gap)), bMemory = new(4 * mostSteps * MatMulTile.PanelWidth);
        Gen.Select(Gen.Int[1, mostRows], Gen.Int[0, mostSteps], Gen.Bool, Gen.Bool, Gen.Int).Repeatable().Sample((rows, steps, extreme, add, seed) =>
        {
            int width = MatMulTile.PanelWidth;
            var random = new Random(seed);
            if (name == "chosen") steps -= steps % MachineTiles.StepsAtOnce;
            int aStride = 4 * steps + gap, cStride = width + gap;
            byte[] a = new byte[Math.Max(0, (rows - 1) * aStride + 4 * steps)];
            // Of a byte with a sign 128 is the farthest from zero.
            for (int row = 0; row < rows; row++)
                for (int i = 0; i < 4 * steps; i++) a[row * aStride + i] = (byte)(!extreme ? random.Next(256) : offset == 0 ? 255 : 128);
            // What adds pairs in 16 bits is given what panels hold, the others anything.
            sbyte[] b = [.. Enumerable.Range(0, 2 * steps * width).SelectMany(_ => inPairs ? Int8Pairs.Draw(random, extreme) : [Any(), Any()])];
            int[] c = [.. Enumerable.Range(0, rows * cStride + 1).Select(_ => random.Next(-1000, 1000))], expected = [.. c];
            for (int row = 0; row < rows; row++)
                for (int column = 0; column < width; column++)
                {
                    int sum = add ? c[row * cStride + column] : 0;
                    for (int k = 0; k < 4 * steps; k++) sum += (offset == 0 ? a[row * aStride + k] : (sbyte)a[row * aStride + k]) * b[k / 4 * 4 * width + 4 * column + k % 4];
                    expected[row * cStride + column] = sum;
                }
            byte* first = aMemory.End - a.Length;
            sbyte* second = (sbyte*)bMemory.End - b.Length;
            a.CopyTo(new Span<byte>(first, a.Length));
            b.CopyTo(new Span<sbyte>(second, b.Length));
            fixed (int* result = c) tile(first, aStride, second, result, cStride, rows, steps, add, second);
            Assert.Equal(expected, c);

            sbyte Any() => (sbyte)(extreme ? (seed % 2 == 0 ? -128 : 127) : random.Next(-128, 128));
        }, iter: Effort.Iterations(200), threads: 1);
    }

    [Fact]
    public void Rows_are_rounded_as_defined() => Gen.Select(Gen.Int[1, 140], Gen.Int, Gen.Double[-30, 30], Gen.Int[-1, 1]).Repeatable().Sample((inner, seed, exponent, sign) =>
    {
        float[] x = RandomNumbers.Normal(new Random(seed), 3 * inner, Math.Pow(10, exponent));
        // All of one sign, or both; a row of zeros between.
        if (sign != 0) x = [.. x.Select(number => sign * Math.Abs(number))];
        x.AsSpan(inner, inner).Clear();
        (float[] scales, int[] zeros, int[] q) = Quantize(x, inner);
        for (int row = 0; row < 3; row++)
        {
            ReadOnlySpan<float> numbers = x.AsSpan(row * inner, inner);
            (float scale, int zero, int[] expected) = QuantizedTwin.Inputs(numbers);
            Assert.Equal((scale, zero), (scales[row], zeros[row]));
            ReadOnlySpan<int> ours = q.AsSpan(row * QuantizedPanels.Padded(inner), QuantizedPanels.Padded(inner));
            for (int i = 0; i < inner; i++)
            {
                Assert.Equal(expected[i], ours[i]);
                // Half a step, and the rounding of quotients up to 255.
                double error = Math.Abs((double)scale * (ours[i] - zero) - numbers[i]);
                Assert.True(error <= scale * (0.5 + 512 * Rounding.Unit), $"{numbers[i]} became {ours[i]}: {error / scale} steps away.");
            }
            // Zeros as they lie in memory.
            Assert.All(ours[inner..].ToArray(), filled => Assert.Equal(QuantizedTile.Offset, filled));
        }
    }, iter: Effort.Iterations(400), threads: 1);

    [Fact]
    public void Parameters_are_rounded_as_defined_and_read_as_they_are_multiplied() => Gen.Select(Gen.Int[1, 70], Gen.Int[1, 40], Gen.Int, Gen.Double[-44, 38.2]).Repeatable().Sample((columns, inner, seed, exponent) =>
    {
        float[] w = RandomNumbers.Normal(new Random(seed), columns * inner, Math.Pow(10, exponent)), read = new float[inner];
        w.AsSpan(0, inner).Clear();
        var matrix = new PackedMatrix(1, columns, inner, Precision.Int8);
        matrix.Set(0, w, []);
        for (int column = 0; column < columns; column++)
        {
            (float scale, int[] q) = QuantizedTwin.Parameters(w.AsSpan(column * inner, inner));
            matrix.Read(0, column, read);
            Bits.Equal([.. q.Select(each => scale * each)], read);
        }
    }, iter: Effort.Iterations(100), threads: 1);

    /// <summary>255·129 would leave 16 bits, where processors add two products.</summary>
    [Fact]
    public void Neighbours_never_add_up_to_more_than_128() => Gen.Select(Gen.Float[1e-3f, 1e3f], Gen.Int[0, 126], Gen.Bool, Gen.Int[0, 2]).Repeatable().Sample((scale, first, negative, odd) =>
    {
        // Halves of steps, as they are after the division but for its rounding.
        float sign = negative ? -scale : scale;
        float[] w = [.. new float[2 * odd], sign * (first + 0.5f), sign * (127.5f - first), 0], read = new float[w.Length];
        var matrix = new PackedMatrix(1, 1, w.Length, Precision.Int8);
        matrix.Set(0, w, []);
        matrix.Read(0, 0, read);
        float step = matrix.View(0).Quantized.Scales[0];
        double[] q = [.. read.Select(number => Math.Round(number / step))];
        Assert.True(Math.Abs(q[2 * odd] + q[2 * odd + 1]) <= 128, $"{q[2 * odd]} and {q[2 * odd + 1]} of {w[2 * odd]:R} and {w[2 * odd + 1]:R}.");
        for (int i = 0; i < w.Length; i++) Assert.InRange(Math.Abs(read[i] - w[i]), 0, 0.50001 * step);
    }, iter: Effort.Iterations(5000), threads: 1);

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_makes_its_row_or_its_column_NaN(float poison)
    {
        const int inner = 37, columns = 35, rows = 5;
        for (int place = 0; place < inner; place++)
        {
            var random = new Random(place);
            float[] x = RandomNumbers.Normal(random, rows * inner), w = RandomNumbers.Normal(random, columns * inner), y = new float[rows * columns];
            (int row, int column) = (place % rows, place % columns);
            x[row * inner + place] = poison;
            w[column * inner + place] = poison;
            var matrix = new PackedMatrix(1, columns, inner, Precision.Int8);
            matrix.Set(0, w, []);
            fixed (float* source = x, destination = y) MatMul.Forward(source, inner, rows, matrix, destination, columns, 2);
            for (int i = 0; i < y.Length; i++) Assert.Equal(i / columns == row || i % columns == column, float.IsNaN(y[i]));
        }
    }

    [Fact]
    public void Numbers_at_the_end_of_the_range_stay_finite_where_the_result_is()
    {
        const int inner = 8;
        float[] x = [.. Enumerable.Range(0, inner).Select(i => i % 2 == 0 ? float.MaxValue : float.MinValue)], w = [.. Enumerable.Repeat(1e-3f, inner)], y = new float[1];
        var matrix = new PackedMatrix(1, 1, inner, Precision.Int8);
        matrix.Set(0, w, [2f]);
        fixed (float* source = x, destination = y) MatMul.Forward(source, inner, 1, matrix, destination, 1, 1);
        // Zero is a half step off the middle: 8 inputs of half a step of 2.7e36 each, times 1e-3.
        Assert.InRange(Math.Abs(y[0]), 0, 1.1e34);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Parameters_at_the_end_of_the_range_stay_finite(int inner)
    {
        float[] w = [.. Enumerable.Repeat(3e38f, inner)], read = new float[inner];
        var matrix = new PackedMatrix(1, 1, inner, Precision.Int8);
        matrix.Set(0, w, []);
        matrix.Read(0, 0, read);
        Assert.All(read, number => Assert.InRange(number, 2.99e38f, 3.01e38f));
    }

    [Fact]
    public void The_longest_sums_fit_and_longer_ones_are_refused()
    {
        const int inner = QuantizedPanels.MaxInner;
        float[] x = new float[inner], w = new float[inner], y = new float[1];
        // The largest pairs of products there are: 255·128.
        x.AsSpan().Fill(1f);
        w.AsSpan().Fill(-1f);
        var matrix = new PackedMatrix(1, 1, inner, Precision.Int8);
        matrix.Set(0, w, []);
        fixed (float* source = x, destination = y) MatMul.Forward(source, inner, 1, matrix, destination, 1, 1);
        Assert.Equal(-inner, y[0], inner * 8 * Rounding.Unit);
        ArgumentException error = Assert.Throws<ArgumentException>(() => new PackedMatrix(1, 1, inner + 1, Precision.Int8));
        Assert.Contains("131,587 inputs cannot be held as int8", error.Message);
    }

    [Fact]
    public void A_map_held_as_int8_takes_a_quarter_of_the_memory()
    {
        const int columns = 64, inner = 301, perColumn = 3 * 4;
        int padded = MachineTiles.HasAmx ? 320 : 304;
        Assert.Equal(columns * (padded + perColumn), new PackedMatrix(1, columns, inner, Precision.Int8).Size);
    }

    private static (float[] Scales, int[] Zeros, int[] Q) Quantize(float[] x, int inner)
    {
        int rows = x.Length / inner;
        var scales = new float[rows];
        var zeros = new int[rows];
        // What is not written shows.
        int rowBytes = QuantizedPanels.Padded(inner);
        byte[] q = [.. Enumerable.Repeat((byte)99, rows * rowBytes)];
        fixed (float* source = x, scale = scales)
        fixed (int* zero = zeros)
        fixed (byte* destination = q) new QuantizedRows(source, inner, rows, inner, destination, rowBytes, scale, zero, threads: 2).Run();
        int offset = QuantizedTile.Offset;
        return (scales, [.. zeros.Select(zero => zero + offset)], offset == 0 ? [.. q] : [.. q.Select(each => (sbyte)each + offset)]);
    }
}
