using Qkv.Encoders;
using Qkv.Kernels;

namespace Qkv.Tests.Kernels;

/// <summary>What dropout draws: the asked-for share, the same on every machine, and nothing to do with what it draws elsewhere.</summary>
[Trait("Suite", "Numerical")]
public unsafe class DropoutTests
{
    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.9)]
    public void The_share_that_is_dropped_is_the_rate(double rate)
    {
        const int rows = 500, columns = 400;
        float[] factors = Draw(new Dropout(rate, 7), rows, columns);
        // Five standard deviations of a mean of independent draws, over everything, each row and each column.
        Within(factors, 1, factors.Length);
        for (int row = 0; row < rows; row++) Within(factors.AsSpan(row * columns), 1, columns);
        for (int column = 0; column < columns; column++) Within(factors.AsSpan(column), columns, rows);
        Assert.All(factors, factor => Assert.True(factor == 0 || factor == (float)(1 / (1 - rate))));

        void Within(ReadOnlySpan<float> numbers, int step, int count)
        {
            int dropped = 0;
            for (int i = 0; i < count; i++) dropped += numbers[i * step] == 0 ? 1 : 0;
            double bound = 5 * Math.Sqrt(rate * (1 - rate) / count);
            Assert.InRange((double)dropped / count, rate - bound, rate + bound);
        }
    }

    [Fact]
    public void Seeds_steps_and_places_draw_independently()
    {
        const int rows = 100, columns = 300;
        DropoutPlan plan = new(0.5, 0.5, 0.5), first = plan.At(1, 1);
        Dropout[] places =
        [
            first.Embeddings, first.Classifier, first.Weights(0), first.Projection(0), first.FeedForward(0), first.Weights(1), first.Projection(1),
            plan.At(1, 2).Embeddings, plan.At(2, 1).Embeddings, plan.At(2, 2).Weights(0),
        ];
        float[][] drawn = [.. places.Select(place => Draw(place, rows, columns))];
        for (int i = 0; i < drawn.Length; i++)
            for (int j = 0; j < i; j++)
            {
                double same = drawn[i].Zip(drawn[j], (a, b) => a == b ? 1.0 : 0).Average();
                Assert.InRange(same, 0.5 - 2.5 / Math.Sqrt(rows * columns), 0.5 + 2.5 / Math.Sqrt(rows * columns));
            }
        // Rows of attention: neighbours in sequence, head and query.
        ulong[] neighbours = [Dropout.Row(0, 0, 4, 0), Dropout.Row(0, 0, 4, 1), Dropout.Row(0, 1, 4, 0), Dropout.Row(1, 0, 4, 0), Dropout.Row(1, 3, 4, 2)];
        Assert.Equal(neighbours.Length, neighbours.Distinct().Count());
    }

    [Fact]
    public void The_draw_is_the_same_at_every_vector_width_and_from_any_column()
    {
        float[] factors = Draw(new DropoutPlan(0.25, 0.25, 0.25).At(42, 3).Projection(1), 3, 40);
        int[] dropped = [.. Enumerable.Range(0, 40).Where(i => factors[80 + i] == 0)];
        Assert.Equal(string.Join(' ', Dropped), string.Join(' ', dropped));
        Dropout dropout = new DropoutPlan(0.25, 0.25, 0.25).At(42, 3).Projection(1);
        for (int first = 0; first < 40; first++)
        {
            var tail = new float[40 - first];
            fixed (float* f = tail) dropout.Factors(2, first, tail.Length, f);
            Bits.Equal(factors.AsSpan(80 + first), tail);
        }
    }

    [Fact]
    public void Numbers_are_multiplied_and_the_residual_added()
    {
        foreach (int columns in (int[])[1, 15, 16, 17, 255, 256, 257, 600])
            foreach (int threads in (int[])[1, 2])
            {
                const int rows = 70;
                var random = new Random(columns);
                var dropout = new Dropout(0.3, (ulong)columns);
                float[] x = RandomNumbers.Normal(random, rows * columns), residual = RandomNumbers.Normal(random, x.Length), factors = Draw(dropout, rows, columns), alone = [.. x], summed = [.. x];
                fixed (float* a = alone, b = summed, r = residual)
                {
                    dropout.Apply(a, rows, columns, threads);
                    dropout.Apply(b, rows, columns, threads, r);
                }
                Bits.Equal([.. x.Zip(factors, (value, factor) => value * factor)], alone);
                Bits.Equal([.. alone.Zip(residual, (value, rest) => value + rest)], summed);
            }
    }

    [Fact]
    public void The_default_drops_nothing()
    {
        Assert.False(default(Dropout).IsOn);
        Assert.False(new Dropout(0, 5).IsOn);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Dropout(1, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Dropout(double.NaN, 5));
    }

    // Computed apart, in whole numbers.
    private static readonly int[] Dropped = [4, 11, 14, 22, 24, 29, 35];

    private static float[] Draw(Dropout dropout, int rows, int columns)
    {
        var factors = new float[rows * columns];
        fixed (float* f = factors)
            for (int row = 0; row < rows; row++) dropout.Factors((ulong)row, 0, columns, f + row * columns);
        return factors;
    }
}
