using System.Numerics;
using CsCheck;
using Qkv.Kernels;
using Qkv.Tests.Reference;
using Qkv.Training;

namespace Qkv.Tests.Kernels;

/// <summary>The gradients of single operations against the tape, over shapes around every tile, block and vector.</summary>
[Trait("Suite", "Numerical")]
public unsafe class GradientTests
{
    private const int RowCount = 32;

    private static readonly Gen<int> s_rows = Gen.OneOf(Gen.Int[1, 40], Among(95, 96, 97, 191, 192, 193));
    private static readonly Gen<int> s_sizes = Gen.OneOf(Gen.Int[1, 100], Among(31, 32, 33, 63, 64, 65, 255, 256, 257));

    public static TheoryData<Activation> Activations => [.. Enum.GetValues<Activation>()];

    [Fact]
    public void Linear_map() => Gen.Select(s_rows, s_sizes, s_sizes, Gen.Bool, Gen.Int[1, 2], Gen.Int).Repeatable().Sample((rows, inputs, outputs, add, threads, seed) =>
    {
        var random = new Random(seed);
        float[] x = RandomNumbers.Normal(random, rows * inputs), w = RandomNumbers.Normal(random, outputs * inputs), b = new float[outputs], dy = RandomNumbers.Normal(random, rows * outputs);
        // Gradients are added to what is there.
        float[] dx = add ? RandomNumbers.Normal(random, x.Length) : new float[x.Length], dw = RandomNumbers.Normal(random, w.Length), db = RandomNumbers.Normal(random, outputs);
        float[][] expected = Twin<float>();
        double[][] truth = Twin<double>();
        fixed (float* px = x, pw = w, pdy = dy, pdx = dx, pdw = dw, pdb = db)
        {
            MatMul.BackwardInput(pdy, outputs, rows, pw, outputs, inputs, pdx, inputs, add, threads);
            MatMul.BackwardParameters(pdy, outputs, px, inputs, rows, outputs, inputs, pdw, pdb, threads);
        }
        string name = $"({rows}, {inputs}) → {outputs}{(add ? " added" : "")}, seed {seed}: ";
        Exactness.Check(name + "dx", dx, expected[0], truth[0]);
        Exactness.Check(name + "dW", dw, expected[1], truth[1]);
        Exactness.Check(name + "db", db, expected[2], truth[2]);

        T[][] Twin<T>() where T : struct, IFloatingPointIeee754<T>
        {
            Node<T> nx = Tape<T>.Of(x, inputs), nw = Tape<T>.Of(w, inputs), nb = Tape<T>.Of(b, outputs);
            Upward<T>(dy, tape => tape.Linear(nx, nw, nb));
            return [Plus(nx, add ? dx : null), Plus(nw, dw), Plus(nb, db)];
        }
    }, iter: Effort.Iterations(60), threads: 1);

    [Fact]
    public void Layer_norm() => Gen.Select(s_sizes, Gen.Int[1, 2], Gen.Int).Repeatable().Sample((columns, threads, seed) =>
    {
        var random = new Random(seed);
        float[] x = RandomNumbers.Normal(random, RowCount * columns), gamma = RandomNumbers.Normal(random, columns), beta = new float[columns], dy = RandomNumbers.Normal(random, x.Length);
        float[] dx = new float[x.Length], dgamma = RandomNumbers.Normal(random, columns), dbeta = RandomNumbers.Normal(random, columns), moments = new float[2 * RowCount];
        float[][] expected = Twin<float>();
        double[][] truth = Twin<double>();
        fixed (float* px = x, pg = gamma, pdy = dy, pdx = dx, pdg = dgamma, pdb = dbeta, pm = moments)
            LayerNorm.Backward(px, RowCount, columns, pg, 1e-5f, pdy, pdx, pdg, pdb, pm, threads);
        string name = $"LayerNorm of {columns}, seed {seed}: ";
        Exactness.Check(name + "dx", dx, expected[0], truth[0]);
        Exactness.Check(name + "dγ", dgamma, expected[1], truth[1]);
        Exactness.Check(name + "dβ", dbeta, expected[2], truth[2]);

        T[][] Twin<T>() where T : struct, IFloatingPointIeee754<T>
        {
            Node<T> nx = Tape<T>.Of(x, columns), ng = Tape<T>.Of(gamma, columns), nb = Tape<T>.Of(beta, columns);
            Upward<T>(dy, tape => tape.LayerNorm(nx, ng, nb, 1e-5f));
            return [nx.Gradient, Plus(ng, dgamma), Plus(nb, dbeta)];
        }
    }, iter: Effort.Iterations(60), threads: 1);

    [Theory]
    [MemberData(nameof(Activations))]
    public void Activation_function(Activation activation)
    {
        for (int length = 1; length <= 70; length++)
        {
            var random = new Random(length);
            float[] x = RandomNumbers.Normal(random, length, 4), dy = RandomNumbers.Normal(random, length), dx = new float[length];
            ActivationFunctions.Backward(activation, x, dy, dx);
            Exactness.Check($"{activation} of {length}", dx, [.. x.Select((value, i) => dy[i] * ActivationTwin.Derivative(activation, value))],
                [.. x.Select((value, i) => dy[i] * ActivationTwin.Derivative<double>(activation, value))]);
            ActivationFunctions.Backward(activation, x, dy, dy);
            Bits.Equal(dx, dy);
        }
    }

    [Fact]
    public void Cross_entropy() => Gen.Select(s_rows, s_sizes, Gen.Int[0, 2].Select(i => i * 0.2), Gen.Int[1, 2], Gen.Int).Repeatable().Sample((rows, classes, smoothing, threads, seed) =>
    {
        var random = new Random(seed);
        float[] x = RandomNumbers.Normal(random, rows * classes, 4), dx = [.. x];
        // Some rows are left out, but not the first.
        int[] targets = [.. Enumerable.Range(0, rows).Select(row => row > 0 && random.Next(4) == 0 ? -1 : random.Next(classes))];
        int count = targets.Count(target => target >= 0);
        (double expectedLoss, float[] expected) = Twin<float>();
        (double trueLoss, double[] truth) = Twin<double>();
        double loss;
        fixed (float* px = dx)
        fixed (int* pt = targets) loss = CrossEntropy.Forward(px, rows, classes, pt, 1f / count, threads, (float)smoothing).Loss / count;
        Exactness.Check($"loss of ({rows}, {classes}), seed {seed}", [(float)loss], [(float)expectedLoss], [trueLoss]);
        // The gradients of a mean are small; as those of the sum they meet the tolerance's absolute part at their own size.
        Exactness.Check($"dx of ({rows}, {classes}), seed {seed}", [.. dx.Select(value => value * count)], [.. expected.Select(value => value * count)], [.. truth.Select(value => value * count)]);

        (double, T[]) Twin<T>() where T : struct, IFloatingPointIeee754<T>
        {
            Node<T> nx = Tape<T>.Of(x, classes);
            var tape = new Tape<T>();
            Node<T> result = tape.CrossEntropy(nx, targets, (float)smoothing);
            tape.Backward(result);
            return (double.CreateTruncating(result.Values[0]), nx.Gradient);
        }
    }, iter: Effort.Iterations(80), threads: 1);

    [Theory]
    [InlineData(SequenceLossKind.SingleLabel)]
    [InlineData(SequenceLossKind.MultiLabel)]
    [InlineData(SequenceLossKind.Regression)]
    public void Sequence_loss(object kind) => Gen.Select(Gen.Int[1, 9], Gen.Int[1, 9], Gen.Int).Repeatable().Sample((rows, classes, seed) =>
    {
        var random = new Random(seed);
        float[] x = RandomNumbers.Normal(random, rows * classes, 3), dx = [.. x];
        float[] targets = (SequenceLossKind)kind switch
        {
            SequenceLossKind.SingleLabel => [.. Enumerable.Range(0, rows).Select(_ => (float)random.Next(classes))],
            SequenceLossKind.MultiLabel => [.. x.Select(_ => (float)random.Next(2))],
            _ => RandomNumbers.Normal(random, x.Length),
        };
        (float expectedLoss, float[] expected) = Twin<float>();
        (double trueLoss, double[] truth) = Twin<double>();
        double loss = SequenceLoss.Forward((SequenceLossKind)kind, dx, targets, 0.1f, 2);
        Exactness.Check($"{kind} of ({rows}, {classes}), seed {seed}", [(float)loss], [expectedLoss], [trueLoss]);
        Exactness.Check($"{kind} of ({rows}, {classes}), seed {seed}: dx", dx, expected, truth);

        (T, T[]) Twin<T>() where T : struct, IFloatingPointIeee754<T>
        {
            Node<T> nx = Tape<T>.Of(x, classes);
            var tape = new Tape<T>();
            Node<T> result = tape.Loss((SequenceLossKind)kind, nx, targets, 0.1f);
            tape.Backward(result);
            return (result.Values[0], nx.Gradient);
        }
    }, iter: Effort.Iterations(80), threads: 1);

    private static Gen<int> Among(params int[] numbers) => Gen.Int[0, numbers.Length - 1].Select(i => numbers[i]);

    private static void Upward<T>(float[] dy, Func<Tape<T>, Node<T>> forward) where T : struct, IFloatingPointIeee754<T>
    {
        var tape = new Tape<T>();
        Node<T> y = forward(tape);
        tape.Backward(tape.Dot(y, Tape<T>.Of(dy, y.Columns)));
    }

    private static T[] Plus<T>(Node<T> node, float[]? before) where T : struct, IFloatingPointIeee754<T> =>
        [.. node.Gradient.Select((value, i) => before == null ? value : T.CreateTruncating(before[i]) + value)];
}
