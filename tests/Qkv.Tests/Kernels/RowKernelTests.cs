using Qkv.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels;

/// <summary>Softmax, LayerNorm and the activations over rows of every length, so that every tail is met.</summary>
[Trait("Suite", "Numerical")]
public class RowKernelTests
{
    private const int Longest = 70, RowCount = 5;

    public static TheoryData<Activation> Activations => [.. Enum.GetValues<Activation>()];

    [Fact]
    public void Softmax_of_every_length()
    {
        for (int columns = 1; columns <= Longest; columns++)
        {
            float[] x = RandomNumbers.Normal(new Random(columns), RowCount * columns, 10), y = new float[x.Length];
            Softmax.Forward(x, columns, y);
            double[] truth = SoftmaxTwin.Forward(x.ToDoubles(), columns);
            for (int row = 0; row < RowCount; row++)
            {
                (_, double[] relative) = Rounding.Attention(x.AsSpan(row * columns, columns).ToArray().ToDoubles(), new double[columns], truth.AsSpan(row * columns, columns), 0);
                for (int i = 0; i < columns; i++) Exactness.Within($"softmax of {columns}", i, y[row * columns + i], truth[row * columns + i], relative[i] * truth[row * columns + i] + 1e-37);
            }
            Softmax.Forward(x, columns, x);
            Bits.Equal(y, x);
        }
    }

    [Fact]
    public void Layer_norm_of_every_length()
    {
        for (int columns = 1; columns <= Longest; columns++)
            foreach (double offset in (double[])[0, 100])
            {
                var random = new Random(columns);
                float[] x = [.. RandomNumbers.Normal(random, RowCount * columns).Select(value => (float)(value + offset))], y = new float[x.Length];
                float[] gamma = RandomNumbers.Normal(random, columns), beta = columns % 2 == 0 ? RandomNumbers.Normal(random, columns) : [];
                LayerNorm.Forward(x, gamma, beta, 1e-5f, y);
                double[] shift = beta.Length == 0 ? new double[columns] : beta.ToDoubles(), truth = LayerNormTwin.Forward(x.ToDoubles(), gamma.ToDoubles(), shift, 1e-5f);
                for (int i = 0; i < y.Length; i++)
                {
                    double[] row = x.AsSpan(i / columns * columns, columns).ToArray().ToDoubles();
                    double mean = row.Average(), spread = row.Average(value => Math.Abs(value - mean)), deviation = Math.Sqrt(row.Average(value => (value - mean) * (value - mean)) + 1e-5f);
                    // The mean is off by what its additions leave of the deviations, the variance by its own; both enter in proportion.
                    double size = Math.Abs(gamma[i % columns]) * (Math.Abs(x[i] - mean) + spread) / deviation + Math.Abs(shift[i % columns]);
                    Exactness.Within($"LayerNorm of {columns}", i, y[i], truth[i], Rounding.Gamma(2 * columns + 16) * size);
                }
                LayerNorm.Forward(x, gamma, beta, 1e-5f, x);
                Bits.Equal(y, x);
            }
    }

    [Theory]
    [MemberData(nameof(Activations))]
    public void Activation_of_every_length(Activation activation)
    {
        float[] x = RandomNumbers.Normal(new Random(7), Longest, 5);
        for (int length = 0; length <= Longest; length++)
        {
            var y = new float[length];
            ActivationFunctions.Apply(activation, x.AsSpan(0, length), y);
            for (int i = 0; i < length; i++)
                Exactness.Within(activation.ToString(), i, y[i], ActivationTwin.Forward(activation, x[i]), Rounding.Activation(activation, x[i], 0));
        }
    }

    [Theory]
    [MemberData(nameof(Activations))]
    public void Activations_keep_NaN_and_the_limits(Activation activation)
    {
        float[] x = [float.NaN, 1e4f, -1e4f, .. new float[30], float.NaN], y = new float[x.Length];
        ActivationFunctions.Apply(activation, x, y);
        Assert.True(float.IsNaN(y[0]) && float.IsNaN(y[^1]));
        foreach (int i in (int[])[1, 2, 3])
            Exactness.Within(activation.ToString(), i, y[i], ActivationTwin.Forward(activation, x[i]), Rounding.Activation(activation, x[i], 0));
    }

    [Fact]
    public void NaN_stays_in_its_row()
    {
        const int columns = 37;
        for (int at = 0; at < columns; at++)
        {
            float[] x = RandomNumbers.Normal(new Random(at), 3 * columns), gamma = [.. Enumerable.Repeat(1f, columns)], soft = new float[x.Length], normal = new float[x.Length];
            x[columns + at] = float.NaN;
            Softmax.Forward(x, columns, soft);
            LayerNorm.Forward(x, gamma, [], 1e-5f, normal);
            for (int i = 0; i < x.Length; i++)
            {
                Assert.Equal(i / columns == 1, float.IsNaN(soft[i]));
                Assert.Equal(i / columns == 1, float.IsNaN(normal[i]));
            }
        }
    }
}
