using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Tests.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Encoders;

/// <summary>
/// A block of another architecture from public parts only: LayerNorm first, 8 heads of 15 features, swish.
/// <code>y = x + projection(attention(LayerNorm(x)));  z = y + W2·swish(W1·LayerNorm(y))</code>
/// </summary>
[Trait("Suite", "Numerical")]
public class PreNormBlockTests
{
    private const int Heads = 8, HeadSize = 15, Features = Heads * HeadSize, Intermediate = 4 * Features, Length = 37;
    private const float Epsilon = 1e-5f;

    private readonly float[] _x, _gamma, _beta;
    private readonly Map _q, _k, _v, _projection, _first, _second;

    public PreNormBlockTests()
    {
        var random = new Random(15);
        (_x, _gamma, _beta) = (Numbers(Length * Features), Numbers(Features), Numbers(Features));
        (_q, _k, _v, _projection) = (Linear(Features, Features), Linear(Features, Features), Linear(Features, Features), Linear(Features, Features));
        (_first, _second) = (Linear(Features, Intermediate), Linear(Intermediate, Features));

        float[] Numbers(int count, double scale = 1) => RandomNumbers.Normal(random, count, scale);
        Map Linear(int inputs, int outputs) => new(Numbers(inputs * outputs, 1 / Math.Sqrt(inputs)), Numbers(outputs, 0.1));
    }

    [Fact]
    public void Equals_the_twin()
    {
        float[] normalized = new float[_x.Length], context = new float[_x.Length], y = new float[_x.Length], z = new float[_x.Length], intermediate = new float[Length * Intermediate];
        var attention = new SelfAttention(Features, Heads, HeadSize, _q.Parameters, _k.Parameters, _v.Parameters);
        LayerNorm.Forward(_x, _gamma, _beta, Epsilon, normalized);
        attention.Forward(normalized, context);
        new Linear(Features, Features, _projection.Parameters).Forward(context, y);
        for (int i = 0; i < y.Length; i++) y[i] += _x[i];
        LayerNorm.Forward(y, _gamma, _beta, Epsilon, normalized);
        new Linear(Features, Intermediate, _first.Parameters).Forward(normalized, intermediate, ActivationFunctions.Parse("swish"));
        new Linear(Intermediate, Features, _second.Parameters).Forward(intermediate, z);
        for (int i = 0; i < z.Length; i++) z[i] += y[i];

        // The float32 reference is the best there can be: every step exact, and only its result rounded.
        (double[] Y, double[] Z) truth = Twin(numbers => numbers), float32 = Twin(numbers => numbers.ToFloats().ToDoubles());
        Exactness.Check("y", y, float32.Y.ToFloats(), truth.Y);
        Exactness.Check("z", z, float32.Z.ToFloats(), truth.Z);
    }

    private (double[] Y, double[] Z) Twin(Func<double[], double[]> step)
    {
        double[] x = _x.ToDoubles(), normalized = Normalize(x);
        double[] context = step(AttentionTwin.Forward(_q.Apply(normalized, step), _k.Apply(normalized, step), _v.Apply(normalized, step), Heads, HeadSize).Context);
        double[] y = step(LinearTwin.Add(_projection.Apply(context, step), x));
        double[] intermediate = step(ActivationTwin.Forward(Activation.Silu, _first.Apply(Normalize(y), step)));
        return (y, step(LinearTwin.Add(_second.Apply(intermediate, step), y)));

        double[] Normalize(double[] rows) => step(LayerNormTwin.Forward(rows, _gamma.ToDoubles(), _beta.ToDoubles(), Epsilon));
    }

    private sealed record Map(float[] W, float[] B)
    {
        public LinearParameters Parameters => new(W, B);

        public double[] Apply(double[] x, Func<double[], double[]> step) => step(LinearTwin.Forward(x, W.ToDoubles(), B.ToDoubles()));
    }
}
