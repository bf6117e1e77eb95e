using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.Kernels;
using Qkv.Tests.Reference;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>The loss of pairs: against its twin, the twin against central differences, and through a whole model.</summary>
[Trait("Suite", "Numerical")]
public class ContrastiveGradientTests
{
    private const float Temperature = 0.05f;

    public static MatrixTheoryData<int, bool> Batches => new([1, 2, 3, 17, 40], [false, true]);

    public static MatrixTheoryData<Pooling, bool> Poolings => new(Enum.GetValues<Pooling>(), [false, true]);

    [Theory]
    [MemberData(nameof(Batches))]
    public void The_twins_gradient_is_that_of_its_loss(int pairs, bool symmetric)
    {
        const int features = 5;
        const double h = 1e-6;
        double[] x = RandomNumbers.Normal(new Random(pairs), 2 * pairs * features).ToDoubles();
        ulong[] texts = Texts(pairs);
        double[] gradient = ContrastiveTwin.Backward(x, features, texts, 0.5, symmetric).Gradient;
        for (int i = 0; i < x.Length; i++)
        {
            double Moved(double by) => ContrastiveTwin.Loss([.. x.Select((value, k) => k == i ? value + by : value)], features, texts, 0.5, symmetric);
            Assert.Equal((Moved(h) - Moved(-h)) / (2 * h), gradient[i], 1e-7);
        }
    }

    [Theory]
    [MemberData(nameof(Batches))]
    public void Loss_and_gradient_equal_the_twin(int pairs, bool symmetric)
    {
        foreach (int features in (int[])[1, 15, 64])
        {
            // Positives near their anchors, as when something has been learned.
            var random = new Random(pairs + features);
            float[] anchors = RandomNumbers.Normal(random, pairs * features), noise = RandomNumbers.Normal(random, pairs * features);
            float[] vectors = [.. anchors, .. anchors.Zip(noise, (a, n) => a + 0.7f * n)], first = [.. vectors];
            ulong[] texts = Texts(pairs);
            double loss = new ContrastiveLoss(Temperature, symmetric).Forward(vectors, features, texts, 2);
            (double truth, double[] gradient, double mass) = ContrastiveTwin.Backward(first.ToDoubles(), features, texts, Temperature, symmetric);

            // A cosine is off by its products and by the lengths; divided by τ it is an absolute error of the score, and so a relative one of
            // its softmax, twice, for the sum has it as well.
            double score = Rounding.Gamma(3 * features + 8) / Temperature, relative = 2.1 * score + 2 * Rounding.Exp + Rounding.Gamma(pairs + 16);
            Assert.Equal(truth, loss, 2 * score + Rounding.Gamma(pairs + 16) * (1 + truth));
            for (int i = 0; i < vectors.Length; i++)
            {
                double length = Math.Sqrt(first.Skip(i / features * features).Take(features).Sum(value => (double)value * value));
                // What is one of du is at most one of dx before the part along u is taken away, and one in that part.
                double size = mass + 2.0 / pairs * relative;
                Exactness.Within($"gradient of {pairs} pairs, {features} features", i, vectors[i], gradient[i], 2 * size * (relative + Rounding.Gamma(pairs + 3 * features + 16)) / Temperature / length);
            }
            float[] alone = [.. first];
            Assert.Equal(loss, new ContrastiveLoss(Temperature, symmetric).Forward(alone, features, texts, 1));
            Bits.Equal(vectors, alone);
        }
    }

    [Fact]
    public void The_same_text_is_no_wrong_answer()
    {
        // Pair 1 has the anchor of pair 0, and its positive is nearer: without the mask that would cost.
        float[] vectors = [1, 0, 1, 0, 0.6f, 0.8f, 1, 0];
        Assert.Equal(0, new ContrastiveLoss(Temperature, Symmetric: false).Forward([.. vectors], 2, [1, 1, 2, 3], 1), 1e-6);
        Assert.InRange(new ContrastiveLoss(Temperature, Symmetric: false).Forward([.. vectors], 2, [1, 4, 2, 3], 1), 3, 10);
    }

    [Theory]
    [MemberData(nameof(Poolings))]
    public void Every_parameter_of_a_model_gets_its_gradient(Pooling pooling, bool symmetric)
    {
        using var files = new TemporaryDirectory();
        files.Write("config.json", """
            {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 12, "num_attention_heads": 2, "num_hidden_layers": 2,
             "intermediate_size": 20, "vocab_size": 30, "max_position_embeddings": 16, "type_vocab_size": 2, "hidden_act": "gelu", "pad_token_id": 0}
            """);
        var random = new Random(12);
        LogicalParameter[] names = [.. ParameterNames.For(EncoderConfig.Load(files.Path)).Encoder];
        // Small biases: large ones would make all vectors nearly parallel, where the gradient is a small difference of large numbers.
        double[][] values = [.. names.Select(name =>
        {
            float[] numbers = RandomNumbers.Normal(random, (int)name.Shape.Aggregate((a, b) => a * b), name.Shape.Length > 1 ? 0.5 : 0.1);
            return numbers.Select(number => (double)(name.Name.EndsWith("LayerNorm.weight", StringComparison.Ordinal) ? 1 + number : number)).ToArray();
        })];
        void Write(int moved = -1, double[]? direction = null, double by = 0) => SafetensorsWriter.Write(files.File("model.safetensors"), names.Select((name, k) =>
            SafetensorsTensor.Of(name.Name, name.Shape, k == moved ? values[k].Zip(direction!, (value, d) => value + by * d).ToArray() : values[k])));
        Write();

        const int pairs = 4, longest = 9;
        int[][] sequences = [.. Enumerable.Range(0, 2 * pairs).Select(_ => Enumerable.Range(0, random.Next(1, longest + 1)).Select(_ => random.Next(1, 30)).ToArray())];
        ulong[] texts = Texts(pairs);
        var batch = new TokenBatch();
        foreach (int[] sequence in sequences) batch.Add(sequence);
        var model = new TrainableModel(files.Path, 2);
        new ContrastiveStep(model, batch.Tokens, pooling, new ContrastiveLoss(0.5f, symmetric)).Run(batch, texts);

        var inputs = new EncoderInputs(longest, [.. sequences.SelectMany(s => s.Concat(new int[longest - s.Length]))], new int[2 * pairs * longest],
            [.. sequences.SelectMany(_ => Enumerable.Range(0, longest))], [.. sequences.SelectMany(s => Enumerable.Range(0, longest).Select(i => i < s.Length ? 1 : 0))]);
        double Loss()
        {
            double[][] hidden = [.. EncoderTwin.Forward(files.Path, inputs)["last_hidden_state"].Chunk(12)];
            double[] pooled = [.. sequences.SelectMany((sequence, i) => Enumerable.Range(0, 12).Select(f =>
            {
                double[] column = [.. hidden.Skip(i * longest).Take(sequence.Length).Select(row => row[f])];
                return pooling switch { Pooling.Mean => column.Average(), Pooling.Max => column.Max(), _ => column[0] };
            }))];
            return ContrastiveTwin.Loss(pooled, 12, texts, 0.5, symmetric);
        }

        const double h = 1e-6;
        for (int k = 0; k < names.Length; k++)
        {
            float[] direction = RandomNumbers.Normal(random, values[k].Length);
            Parameter parameter = model.Parameters.Single(parameter => parameter.Name == names[k].Name);
            double ours = 0, largest = 1, length = 0;
            for (int i = 0; i < direction.Length; i++)
            {
                ours += (double)parameter.Gradient.Span[i] * direction[i];
                largest = Math.Max(largest, Math.Abs(parameter.Gradient.Span[i]));
                length += Math.Abs(direction[i]);
            }
            Write(k, direction.ToDoubles(), h);
            double up = Loss();
            Write(k, direction.ToDoubles(), -h);
            double down = Loss();
            // The design's bound of each element, 1e-6 of the largest, along the direction. A wrong formula is wrong by the size of the
            // gradient, which must be well above it; only key biases have a true gradient of zero.
            double truth = (up - down) / (2 * h), bound = 1e-6 * largest * length;
            if (!names[k].Name.EndsWith("key.bias", StringComparison.Ordinal)) Assert.True(Math.Abs(truth) > 2 * bound, $"{names[k].Name}: {truth} cannot be told from rounding ({bound}).");
            Assert.True(Math.Abs(truth - ours) <= bound, $"{names[k].Name}: {ours} along a direction, {truth} is right.");
        }
    }

    /// <summary>Texts of which some are in two pairs: anchors 0 and 2, and the positive of 1 is the anchor of 3.</summary>
    private static ulong[] Texts(int pairs)
    {
        ulong[] texts = [.. Enumerable.Range(1, 2 * pairs).Select(i => (ulong)i)];
        if (pairs > 2) texts[2] = texts[0];
        if (pairs > 3) texts[3] = texts[pairs + 1];
        return texts;
    }
}
