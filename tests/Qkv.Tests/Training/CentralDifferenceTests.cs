using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Tests.Kernels;
using Qkv.Tests.Reference;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>The gradients of the double-precision tape mean what they say: every operation, a layer and whole models.</summary>
public class CentralDifferenceTests
{
    private readonly Random _random = new(17);

    public static TheoryData<Activation> Activations => [.. Enum.GetValues<Activation>()];

    [Fact]
    public void Linear_map()
    {
        Node<double> x = Numbers(4, 5), w = Numbers(3, 5), b = Numbers(1, 3), g = Numbers(4, 3);
        CentralDifferences.Check("linear", tape => tape.Dot(tape.Linear(x, w, b), g), x, w, b);
    }

    [Fact]
    public void Layer_norm()
    {
        Node<double> x = Numbers(4, 7), gamma = Numbers(1, 7), beta = Numbers(1, 7), g = Numbers(4, 7);
        CentralDifferences.Check("LayerNorm", tape => tape.Dot(tape.LayerNorm(x, gamma, beta, 1e-5), g), x, gamma, beta);
    }

    [Theory]
    [MemberData(nameof(Activations))]
    public void Activation_function(Activation activation)
    {
        // From −12 to 12, past the bends of every function and never nearer to one than a step.
        var x = new Node<double>([.. Enumerable.Range(0, 48).Select(i => (i - 23.6) / 2)], 48);
        Node<double> g = Numbers(1, 48);
        CentralDifferences.Check(activation.ToString(), tape => tape.Dot(tape.Activate(activation, x), g), x);
    }

    [Fact]
    public void Attention_with_masks_and_dropout()
    {
        int[] queries = [0, 4, 5], keys = [0, 3, 7];
        Node<double> q = Numbers(5, 6), k = Numbers(7, 6), v = Numbers(7, 6), g = Numbers(5, 6);
        var dropout = new Dropout(0.3, 5);
        CentralDifferences.Check("attention", tape => tape.Dot(tape.Attention(q, k, v, 2, queries, keys,
            (sequence, head, query, key) => key > query + 1 ? double.NegativeInfinity : 0.3 * (head - key),
            (sequence, head, query, key) => ModelTwin<double>.Factor(dropout, sequence, head, 2, query, key)), g), q, k, v);
    }

    [Fact]
    public void Rows_sums_and_dropout()
    {
        Node<double> table = Numbers(4, 3), more = Numbers(6, 3), g = Numbers(6, 3);
        var dropout = new Dropout(0.5, 2);
        CentralDifferences.Check("rows", tape => tape.Dot(tape.Drop(tape.Add(tape.Rows(table, [1, 1, 0, 3, 1, 0]), more), dropout), g), table, more);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.2)]
    public void Losses(double smoothing)
    {
        Node<double> x = Numbers(4, 5);
        CentralDifferences.Check("cross entropy", tape => tape.CrossEntropy(x, [2, -1, 0, 4], smoothing), x);
        CentralDifferences.Check("single label", tape => tape.Loss(SequenceLossKind.SingleLabel, x, [2, 1, 0, 4], smoothing), x);
        float[] zeroOrOne = [.. x.Values.Select(_ => (float)_random.Next(2))], numbers = RandomNumbers.Normal(_random, x.Values.Length);
        CentralDifferences.Check("multi-label", tape => tape.Loss(SequenceLossKind.MultiLabel, x, zeroOrOne, 0), x);
        CentralDifferences.Check("regression", tape => tape.Loss(SequenceLossKind.Regression, x, numbers, 0), x);
    }

    [Theory]
    [InlineData(ToyHead.MaskedLanguage, 1)]
    [InlineData(ToyHead.MaskedLanguage, 2)]
    [InlineData(ToyHead.Sequence, 2)]
    [InlineData(ToyHead.Token, 2)]
    public void Layers_and_whole_models(object head, int layers)
    {
        using var toy = new ToyModel((ToyHead)head, layers, heads: 2, headSize: 3, intermediate: 5, vocabulary: 11, "gelu", seed: layers);
        var plan = new DropoutPlan(0.2, 0.3, 0.4, Key: 9);
        var twin = new ModelTwin<double>(toy.Model);
        TokenBatch batch = toy.Batch([5, 1, 3]);
        foreach ((string name, Node<double> parameter) in twin.Parameters)
        {
            // The padding's row learns nothing, whatever the loss does.
            if (name == "embeddings.word_embeddings.weight") continue;
            CentralDifferences.Check(name, tape => toy.Loss(twin, tape, batch, plan), parameter);
        }
    }

    private Node<double> Numbers(int rows, int columns) => new(RandomNumbers.Normal(_random, rows * columns).ToDoubles(), columns);
}
