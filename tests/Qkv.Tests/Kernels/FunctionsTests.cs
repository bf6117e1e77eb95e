using Qkv.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels;

/// <summary>The errors that <see cref="Functions"/> states, measured over a dense sweep of the floats.</summary>
[Trait("Suite", "Numerical")]
public unsafe class FunctionsTests(ITestOutputHelper output)
{
    [Fact]
    public void Exp_within_two_units_in_the_last_place() => AssertWorst<ExpMap>(
        2, Sweep(88f).Where(x => x >= -87.33654f), Math.Exp, (x, truth) => MathF.BitIncrement((float)truth) - (float)truth);

    [Fact]
    public void Exp2_within_two_units_in_the_last_place() => AssertWorst<Exp2Map>(
        2, Sweep(127f).Where(x => x >= -126f), x => Math.Pow(2, x), (x, truth) => MathF.BitIncrement((float)truth) - (float)truth);

    [Fact]
    public void Erf_within_its_bound() => AssertWorst<ErfMap>(Rounding.Erf, Sweep(10f), ErrorFunction.Erf, (_, _) => 1);

    [Fact]
    public void Tanh_within_its_bound() => AssertWorst<TanhMap>(Rounding.Tanh, Sweep(20f), Math.Tanh, (_, truth) => Math.Abs(truth));

    [Fact]
    public void Sigmoid_within_its_bound() => AssertWorst<SigmoidMap>(Rounding.Sigmoid, Sweep(86f), ActivationTwin.Sigmoid, (_, truth) => truth);

    [Fact]
    public void At_the_edges()
    {
        float[] edges = [0f, -0f, -87.34f, -1000f, float.NegativeInfinity, 89f, 1000f, float.PositiveInfinity, float.NaN, 1e-40f];
        float[] exp = Map<ExpMap>(edges), erf = Map<ErfMap>(edges), tanh = Map<TanhMap>(edges), sigmoid = Map<SigmoidMap>(edges);
        Assert.Equal([1f, 1f, 0f, 0f, 0f, exp[5], exp[5], exp[5], float.NaN, 1f], exp);
        Assert.InRange(exp[5], 1.6e38f, 1.7e38f);
        Assert.Equal([1f, 1f, 8f, 0.5f, 1.17549435e-38f, 0f, 0f, 0f, float.NaN, 1f], WholeMap<Exp2Map>([0f, -0f, 3f, -1f, -126f, -127f, -1000f, float.NegativeInfinity, float.NaN, 1e-40f]));
        Assert.All(WholeMap<Exp2Map>([.. Enumerable.Range(0, 1000).Select(i => -126f - i / 999f)]), y => Assert.InRange(y, 0f, 1.17549435e-38f));
        Assert.Equal([0f, -0f, -1f, -1f, -1f, 1f, 1f, 1f, float.NaN], erf[..^1]);
        Assert.Equal([0f, -0f, -1f, -1f, -1f, 1f, 1f, 1f, float.NaN], tanh[..^1]);
        Assert.Equal([0.5f, 0.5f], sigmoid[..2]);
        Assert.All(sigmoid[2..5], y => Assert.InRange(y, 0f, 1.3e-38f));
        Assert.Equal([1f, 1f, 1f, float.NaN, 0.5f], sigmoid[5..]);
    }

    [Fact]
    public void Every_lane_and_tail_gives_the_same_bits()
    {
        float[] x = RandomNumbers.Normal(new Random(1), 40, 3);
        foreach (Func<float[], float[]> map in (Func<float[], float[]>[])[Map<ExpMap>, WholeMap<Exp2Map>, Map<ErfMap>, Map<TanhMap>, Map<SigmoidMap>])
        {
            float[] alone = [.. x.Select(value => map([value])[0])];
            for (int length = 0; length <= x.Length; length++) Bits.Equal(alone.AsSpan(0, length), map(x[..length]));
        }
    }

    private static float[] Sweep(float largest)
    {
        // A prime step meets every pattern of low bits.
        const int step = 1009;
        int count = BitConverter.SingleToInt32Bits(largest) / step;
        return [.. Enumerable.Range(0, count).Select(i => BitConverter.Int32BitsToSingle(i * step)).SelectMany(x => (float[])[x, -x])];
    }

    private void AssertWorst<TMap>(double bound, IEnumerable<float> inputs, Func<double, double> function, Func<float, double, double> unit) where TMap : unmanaged, IMap
    {
        float[] x = [.. inputs], y = WholeMap<TMap>(x);
        double worst = 0;
        int at = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double truth = function(x[i]), difference = Math.Abs(y[i] - truth), error = difference == 0 ? 0 : difference / unit(x[i], truth);
            if (!(error <= worst)) (worst, at) = (error, i);
        }
        output.WriteLine($"{typeof(TMap).Name}: {worst:G4} at {x[at]:G9}, of {x.Length:N0} inputs");
        Assert.True(worst <= bound, $"The error is {worst:G4} at {x[at]:G9}, and {bound:G4} is stated.");
    }

    /// <summary>Without a tail, which <see cref="Functions.Exp2{V}"/> has nowhere.</summary>
    private static float[] WholeMap<TMap>(float[] x) where TMap : unmanaged, IMap => Map<TMap>([.. x, .. new float[-x.Length & 15]])[..x.Length];

    private static float[] Map<TMap>(float[] x) where TMap : unmanaged, IMap
    {
        var y = new float[x.Length];
        fixed (float* source = x, destination = y) Workers.Run(new Kernel<TMap>(source, destination, x.Length), 1, 1);
        return y;
    }

    private readonly struct Kernel<TMap>(float* x, float* y, int count) : IKernel where TMap : unmanaged, IMap
    {
        private readonly float* _x = x, _y = y;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V> => Simd.Map<V, TMap>(_x, 0, _y, 0, 1, count);
    }

    private readonly struct ExpMap : IMap
    {
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Exp(x);
    }

    private readonly struct Exp2Map : IMap
    {
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Exp2(x);
    }

    private readonly struct ErfMap : IMap
    {
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Erf(x);
    }

    private readonly struct TanhMap : IMap
    {
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Tanh(x);
    }

    private readonly struct SigmoidMap : IMap
    {
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Sigmoid(x);
    }
}
