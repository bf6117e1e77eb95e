using System.Numerics;
using CsCheck;
using Qkv.Encoders;
using Qkv.Tests.Reference;
using Qkv.Text;

namespace Qkv.Tests.Training;

/// <summary>Every parameter's gradient of whole models against the tape: shapes, heads, activations, dropout, frozen parts.</summary>
[Trait("Suite", "Numerical")]
public class ModelGradientTests
{
    private static readonly string[] s_activations = ["gelu", "gelu_new", "quick_gelu", "relu2", "silu", "tanh", "mish", "sigmoid", "linear"];

    [Fact]
    public void Of_any_shape_head_and_activation_with_and_without_dropout() => Gen.Select(
            Gen.Enum<ToyHead>(), Gen.Int[1, 3], Gen.Select(Gen.Int[1, 3], Gen.Int[1, 20]), Gen.Int[1, 50], Gen.Int[0, s_activations.Length - 1].Select(i => s_activations[i]), Gen.Int[1, 30].Array[1, 4], Gen.Bool, Gen.Int)
        .Repeatable().Sample((head, layers, size, intermediate, activation, lengths, drop, seed) =>
        {
            using var toy = new ToyModel(head, layers, size.Item1, size.Item2, intermediate, vocabulary: 23, activation, seed);
            Check(toy, lengths, drop, $"{head}, {layers} layers of {size.Item1} × {size.Item2} and {intermediate}, {activation}, lengths {string.Join(' ', lengths)}, {(drop ? "dropout, " : "")}seed {seed}");
        }, iter: Effort.Iterations(40), threads: 1);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_sequences_longer_than_a_tile(bool drop)
    {
        using var toy = new ToyModel(ToyHead.Token, 1, heads: 2, headSize: 5, intermediate: 16, vocabulary: 23, "gelu", seed: 4);
        Check(toy, [257, 1, 97], drop, "long");
    }

    [Fact]
    public void One_thread_and_two_give_the_same_bits_with_dropout()
    {
        float[][] one = Learn(1), two = Learn(2);
        for (int i = 0; i < one.Length; i++) Bits.Equal(one[i], two[i]);

        static float[][] Learn(int threads)
        {
            using var toy = new ToyModel(ToyHead.Sequence, 2, 2, 16, 48, 23, "gelu", seed: 6, threads);
            toy.Model.Dropout = new DropoutPlan(0.1, 0.2, 0.3).At(5, 8);
            toy.Learn(toy.Batch([40, 7, 300]));
            return [.. toy.Model.Parameters.Select(parameter => parameter.Gradient.Span.ToArray())];
        }
    }

    [Theory]
    [InlineData(ToyHead.MaskedLanguage)]
    [InlineData(ToyHead.Sequence)]
    [InlineData(ToyHead.Token)]
    public void What_learns_beside_frozen_parts_learns_the_same(object head)
    {
        using var free = Learned(0);
        for (int depth = 1; depth <= 3; depth++) // 2 layers: at 3 only the task head learns
        {
            using var frozen = Learned(depth);
            foreach ((Parameter expected, Parameter actual) in free.Model.Parameters.Zip(frozen.Model.Parameters))
            {
                Assert.Equal(frozen.Model.DepthOf(actual) < depth, actual.IsFrozen);
                if (actual.IsFrozen) continue;
                Bits.Equal(expected.Gradient.Span, actual.Gradient.Span);
            }
            Assert.Contains(frozen.Model.Parameters, parameter => !parameter.IsFrozen && parameter.Gradient.Span.ContainsAnyExcept(0f));
        }

        ToyModel Learned(int depth)
        {
            var toy = new ToyModel((ToyHead)head, 2, 2, 8, 20, 23, "gelu", seed: 7);
            toy.Model.Freeze(depth);
            toy.Learn(toy.Batch([12, 5]));
            return toy;
        }
    }

    private static void Check(ToyModel toy, int[] lengths, bool drop, string name)
    {
        DropoutPlan plan = drop ? new DropoutPlan(0.1, 0.2, 0.3).At(1, lengths.Length) : default;
        toy.Model.Dropout = plan;
        TokenBatch batch = toy.Batch(lengths);
        double loss = toy.Learn(batch);
        (float expectedLoss, ModelTwin<float> expected) = Twin<float>();
        (double trueLoss, ModelTwin<double> truth) = Twin<double>();
        Exactness.Check(name + ": loss", [(float)loss], [expectedLoss], [trueLoss]);
        // A toy's tensor has so few numbers that the reference's own rounding of it is a matter of luck, while all gradients of a model share
        // their conditioning: what the reference's float32 loses anywhere, in parts of the tensor's largest number, may be lost everywhere.
        double lost = toy.Model.Parameters.Max(parameter => Exactness.Lost(expected.Parameters[parameter.Name].Gradient, truth.Parameters[parameter.Name].Gradient));
        foreach (Parameter parameter in toy.Model.Parameters)
        {
            double[] right = truth.Parameters[parameter.Name].Gradient;
            Exactness.Within($"{name}: {parameter.Name}", parameter.Gradient.Span, right, (2 * lost + 1e-6) * Exactness.Largest(right));
        }

        (T, ModelTwin<T>) Twin<T>() where T : struct, IFloatingPointIeee754<T>
        {
            var twin = new ModelTwin<T>(toy.Model);
            var tape = new Tape<T>();
            Node<T> result = toy.Loss(twin, tape, batch, plan);
            tape.Backward(result);
            return (result.Values[0], twin);
        }
    }
}
