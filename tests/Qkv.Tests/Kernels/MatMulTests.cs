using CsCheck;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels;

/// <summary>Products of every shape: tails of every tile, blocks of the inner dimension, joined maps, residual, activations.</summary>
[Trait("Suite", "Numerical")]
public unsafe class MatMulTests
{
    private static readonly Gen<Product> s_products =
        Gen.Select(Gen.Int[0, 40], Gen.Int[1, 100], Gen.Int[1, 600], Gen.Int[1, 3], Gen.Enum<Activation>(), Gen.Bool, Gen.Select(Gen.Int, Gen.Enum<Precision>()))
            .Select((rows, columns, inner, maps, activation, residual, rest) => new Product(rows, columns, inner, maps, activation, residual, rest.Item1, rest.Item2));

    [Fact]
    public void Equals_the_twin() => s_products.Repeatable().Sample(product => product.CheckAgainstTwin(), iter: Effort.Iterations(400), threads: 1);

    [Fact]
    public void Every_row_count() // The tiles of 12, 8, 6, 4, 2 and 1 rows, and two row blocks.
    {
        foreach (int rows in Enumerable.Range(0, 26).Append(191).Append(193)) new Product(rows, 33, 7, 1, Activation.Linear, true, rows).CheckAgainstTwin();
    }

    [Theory]
    [InlineData(36, 1, 2, 3)] // Four at a time were nine parts: one thread would have five of them.
    [InlineData(72, 1, 2, 4)]
    [InlineData(24, 2, 2, 4)]
    [InlineData(9, 1, 4, 1)]
    [InlineData(37, 3, 1, 4)]
    public void Parts_are_large_and_even(int panels, int rowBlocks, int threads, int expected) => Assert.Equal(expected, MatMul.PanelsPerPart(panels, rowBlocks, threads, atMost: 4));

    [Theory]
    [InlineData(1023)]
    [InlineData(1025)]
    [InlineData(2051)]
    public void Several_blocks_of_the_inner_dimension(int inner)
    {
        foreach (Precision precision in Enum.GetValues<Precision>()) new Product(7, 35, inner, 1, Activation.Linear, true, inner, precision).CheckAgainstTwin();
    }

    [Fact]
    public void Every_column_count()
    {
        for (int columns = 1; columns <= 66; columns++) new Product(5, columns, 9, 2, Activation.Gelu, false, columns).CheckAgainstTwin();
    }

    [Fact]
    public void A_row_has_the_same_bits_whatever_the_number_of_rows_and_threads() => Gen.Select(s_products, Gen.Int[1, 40]).Repeatable().Sample((product, rows) =>
    {
        float[] all = product.Forward(product.Rows, threads: 1);
        Bits.Equal(all, product.Forward(product.Rows, threads: 2));
        rows = Math.Min(rows, product.Rows);
        Bits.Equal(all.AsSpan(0, rows * product.Outputs), product.Forward(rows, threads: 2));
    }, iter: Effort.Iterations(300), threads: 1);

    [Fact]
    public void One_of_several_joined_maps_has_the_same_bits_alone() => s_products.Repeatable().Sample(product =>
    {
        float[] all = product.Forward(product.Rows, threads: 2);
        for (int map = 0; map < product.Maps; map++)
        {
            float[] one = product.Forward(product.Rows, threads: 2, map);
            for (int row = 0; row < product.Rows; row++)
                Bits.Equal(all.AsSpan(row * product.Outputs + map * product.Columns, product.Columns), one.AsSpan(row * product.Columns, product.Columns));
        }
    }, iter: Effort.Iterations(150), threads: 1);

    [Fact]
    public void A_map_held_as_bfloat16_gives_the_bits_of_the_rounded_one_in_float32()
    {
        Assert.SkipWhen(MachineTiles.HasBFloat16, "Machine tiles round the other factor as well.");
        s_products.Repeatable().Sample(product =>
        {
            Product half = product with { Precision = Precision.BFloat16 }, rounded = product with { Precision = Precision.Float32, RoundsFirst = true };
            Bits.Equal(rounded.Forward(product.Rows, threads: 1), half.Forward(product.Rows, threads: 2));
        }, iter: Effort.Iterations(200), threads: 1);
    }

    [Fact]
    public void In_machine_tiles_bfloat16_has_the_bits_of_the_instruction()
    {
        Assert.SkipUnless(MachineTiles.HasBFloat16, "There are no tiles for bfloat16 at this level.");
        s_products.Repeatable().Sample(product =>
        {
            product = product with { Precision = Precision.BFloat16, Activation = Activation.Linear };
            Bits.Equal(product.InTiles(), product.Forward(product.Rows, threads: 2));
        }, iter: Effort.Iterations(100), threads: 1);
    }

    [Fact]
    public void A_map_held_as_bfloat16_takes_half_the_memory()
    {
        const int columns = 64, inner = 300, padded = 320;
        long biases = columns * sizeof(float);
        Assert.Equal(columns * inner * 4, new PackedMatrix(1, columns, inner).Size - biases);
        Assert.Equal(columns * (MachineTiles.HasAmx ? padded : inner) * 2, new PackedMatrix(1, columns, inner, Precision.BFloat16).Size - biases);
    }

    [Theory]
    [InlineData(NumberFormat.Float32)]
    [InlineData(NumberFormat.Float16)]
    [InlineData(NumberFormat.BFloat16)]
    public void A_map_that_is_an_embedding_table_gives_the_bits_of_a_packed_one(NumberFormat format)
    {
        const int entries = 75, inner = 300, rows = 13;
        var random = new Random(3);
        float[] x = RandomNumbers.Normal(random, rows * inner), w = new float[entries * inner], b = RandomNumbers.Normal(random, entries);
        var table = new EmbeddingTable(entries, inner, format);
        byte[] stored = format == NumberFormat.Float32
            ? [.. RandomNumbers.Normal(random, w.Length).SelectMany(BitConverter.GetBytes)]
            : [.. Enumerable.Range(0, w.Length).SelectMany(_ => BitConverter.GetBytes((ushort)random.Next(0x3000, 0x3c00)))];
        stored.CopyTo(table.Bytes);
        fixed (float* destination = w)
            for (int row = 0; row < entries; row++) table.View().Read(row, 0, inner, destination + row * inner);
        var packed = new PackedMatrix(1, entries, inner);
        packed.Set(0, w, b);
        PackedMatrix tied = PackedMatrix.Tied(table);
        tied.SetBias(0, b);
        Bits.Equal(Forward(packed), Forward(tied));

        float[] Forward(PackedMatrix matrix)
        {
            var y = new float[rows * entries];
            fixed (float* source = x, destination = y) MatMul.Forward(source, inner, rows, matrix, destination, entries, 2);
            return y;
        }
    }

    /// <summary>A product of random numbers; rows of X lie further apart than they are long, as those of Q, K and V do.</summary>
    private sealed record Product(int Rows, int Columns, int Inner, int Maps, Activation Activation, bool Residual, int Seed, Precision Precision = Precision.Float32)
    {
        private const int Gap = 3;

        private float[]? _x, _w, _b, _r;
        private PackedMatrix? _matrix;

        public int Outputs => Maps * Columns;

        /// <summary>Whether W is rounded to bfloat16 before it is packed.</summary>
        public bool RoundsFirst { get; init; }

        public float[] Forward(int rows, int threads, int map = -1)
        {
            Fill();
            (int first, int maps) = map < 0 ? (0, Maps) : (map, 1);
            var y = new float[rows * maps * Columns];
            fixed (float* source = _x, residual = _r, destination = y)
                MatMul.Forward(source, Inner + Gap, rows, _matrix!, destination, maps * Columns, threads, Activation,
                    Residual ? residual + first * Columns : null, Outputs, first, maps);
            return y;
        }

        public void CheckAgainstTwin()
        {
            float[] y = Forward(Rows, threads: 2);
            float[] x = [.. _x!.Chunk(Inner + Gap).SelectMany(row => row.Take(Inner))];
            (double[] exact, double[] bounds) = Truth(x);
            for (int i = 0; i < y.Length; i++)
            {
                double truth = ActivationTwin.Forward(Activation, exact[i]), bound = Rounding.Activation(Activation, exact[i], bounds[i]);
                if (Residual) (truth, bound) = (truth + _r![i], bound + Rounding.Unit * Math.Abs(truth + _r[i]) * 1.01);
                Exactness.Within(ToString(), i, y[i], truth, bound);
            }
        }

        /// <summary>X·Wᵀ + b, and how far float32 may be from it.</summary>
        private (double[] Y, double[] Bounds) Truth(float[] x)
        {
            if (Precision == Precision.Int8)
            {
                // The sum is exact; it is rounded, and so are the product of the scales, the product with it and the addition.
                (double[] y, double[] size) = QuantizedTwin.Forward(x, _w!, _b!);
                return (y, [.. size.Select(each => Rounding.Gamma(4) * each)]);
            }
            double[] w = Precision == Precision.BFloat16 ? [.. _w!.ToDoubles().Select(HalfWidth.Round)] : _w!.ToDoubles();
            if (Precision == Precision.BFloat16 && MachineTiles.HasBFloat16) x = [.. x.Select(number => (float)HalfWidth.Round(number))];
            double[] magnitude = LinearTwin.Forward([.. x.ToDoubles().Select(Math.Abs)], [.. w.Select(Math.Abs)], [.. _b!.ToDoubles().Select(Math.Abs)]);
            return (LinearTwin.Forward(x.ToDoubles(), w, _b!.ToDoubles()), [.. magnitude.Select(each => Rounding.Gamma(Inner + 2) * each)]);
        }

        /// <summary>
        /// The sums of 512 inputs after the other; the first starts from the bias, and the residual is added to it. By AMX the sum of all starts from the residual, and the bias
        /// comes last; where there is no residual, it starts from the bias.
        /// </summary>
        public float[] InTiles()
        {
            Fill();
            var y = new float[Rows * Outputs];
            ushort[] x = [.. _x!.Select(BFloat16.Round)], w = [.. _w!.Select(BFloat16.Round)], own = new ushort[2 * MachineTiles.AmxSteps], met = new ushort[own.Length];
            for (int row = 0; row < Rows; row++)
                for (int column = 0; column < Outputs; column++)
                {
                    float result = 0;
                    if (MachineTiles.HasAmx)
                    {
                        float bias = _b![column];
                        result = Residual ? _r![row * Outputs + column] : bias;
                        for (int k = 0; k < Inner; k += own.Length)
                        {
                            int count = Math.Min(own.Length, Inner - k);
                            Array.Clear(own);
                            Array.Clear(met);
                            x.AsSpan(row * (Inner + Gap) + k, count).CopyTo(own);
                            w.AsSpan(column * Inner + k, count).CopyTo(met);
                            result = TileTwin.AmxBFloat16(result, own, met);
                        }
                        if (Residual) result += bias;
                    }
                    for (int k = 0; k < Inner && !MachineTiles.HasAmx; k += 512)
                    {
                        float sum = k == 0 ? _b![column] : 0;
                        for (int i = k; i < Math.Min(k + 512, Inner); i += 2)
                            sum = TileTwin.BFloat16(sum, x[row * (Inner + Gap) + i], i + 1 < Inner ? x[row * (Inner + Gap) + i + 1] : (ushort)0, w[column * Inner + i], i + 1 < Inner ? w[column * Inner + i + 1] : (ushort)0);
                        result = k > 0 ? sum + result : Residual ? sum + _r![row * Outputs + column] : sum;
                    }
                    y[row * Outputs + column] = result;
                }
            return y;
        }

        private void Fill()
        {
            if (_matrix != null) return;
            var random = new Random(Seed);
            _x = RandomNumbers.Normal(random, Rows * (Inner + Gap));
            _w = RandomNumbers.Normal(random, Outputs * Inner, 2 / Math.Sqrt(Inner));
            if (RoundsFirst) _w = [.. _w.ToDoubles().Select(HalfWidth.Round).Select(number => (float)number)];
            _b = RandomNumbers.Normal(random, Outputs);
            _r = RandomNumbers.Normal(random, Rows * Outputs);
            _matrix = new PackedMatrix(Maps, Columns, Inner, Precision);
            for (int map = 0; map < Maps; map++) _matrix.Set(map, _w.AsSpan(map * Columns * Inner, Columns * Inner), _b.AsSpan(map * Columns, Columns));
        }

        public override string ToString() =>
            $"({Rows}, {Inner}) · {Maps} maps of ({Inner}, {Columns}), {Activation}, {Precision}{(Residual ? " + residual" : "")}, seed {Seed}";
    }
}
