using System.Runtime.InteropServices;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels;

/// <summary>Single functions equal PyTorch's.</summary>
[Trait("Suite", "Numerical")]
public sealed class PrimitivesTests : IDisposable
{
    private readonly GoldenFolder _golden = new("primitives");

    public static TheoryData<string> Activations => [.. ActivationFunctions.Supported];

    [Theory]
    [MemberData(nameof(Activations))]
    public void Activation_functions(string name)
    {
        Activation activation = ActivationFunctions.Parse(name);
        float[] x = _golden["act.x"], y = new float[x.Length];
        ActivationFunctions.Apply(activation, x, y);
        // swish is another name of silu, which is what the data has.
        Check($"act.{name.Replace("swish", "silu")}", y, ActivationTwin.Forward(activation, x.ToDoubles()));
    }

    [Theory]
    [InlineData("bert")]
    [InlineData("roberta")]
    [InlineData("big_mean")]
    [InlineData("tiny_variance")]
    public void Layer_norm(string name)
    {
        float[] x = _golden[$"ln.{name}.x"], gamma = _golden[$"ln.{name}.weight"], beta = _golden[$"ln.{name}.bias"], y = new float[x.Length];
        double epsilon = _golden.Expected.ReadDoubles($"ln.{name}.eps")[0];
        LayerNorm.Forward(x, gamma, beta, (float)epsilon, y);
        Check($"ln.{name}", y, LayerNormTwin.Forward(x.ToDoubles(), gamma.ToDoubles(), beta.ToDoubles(), epsilon));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(3, 1)]
    [InlineData(5, 100_000)]
    public void Asking_for_pages_changes_nothing_in_them_or_beside_them(int start, int count)
    {
        var numbers = new AlignedBuffer(100_100);
        for (int i = 0; i < numbers.Length; i++) numbers.Span[i] = i;
        AlignedBuffer.Populate(MemoryMarshal.AsBytes(numbers.Span.Slice(start, count)));
        for (int i = 0; i < numbers.Length; i++) Assert.Equal(i, numbers.Span[i]);
    }

    [Fact]
    public void Softmax_of_ordinary_and_extreme_rows()
    {
        float[] x = _golden["softmax.x_inf"], y = new float[x.Length];
        Softmax.Forward(x, 17, y);
        Check("softmax", y, SoftmaxTwin.Forward(x.ToDoubles(), 17));
    }

    [Fact]
    public void Softmax_of_nothing_but_minus_infinity_is_zero_where_PyTorch_gives_NaN()
    {
        float[] x = _golden["softmax.all_inf.x_inf"], y = new float[x.Length];
        Softmax.Forward(x, x.Length, y);
        Assert.All(_golden["softmax.all_inf.y_nan"], number => Assert.True(float.IsNaN(number)));
        Assert.All(y, number => Assert.Equal(0f, number));
    }

    [Fact]
    public void Linear_map()
    {
        float[] x = _golden["linear.x"], w = _golden["linear.weight"], b = _golden["linear.bias"], y = new float[x.Length / 48 * 20];
        new Linear(48, 20, new(w, b)).Forward(x, y);
        Check("linear", y, LinearTwin.Forward(x.ToDoubles(), w.ToDoubles(), b.ToDoubles()));
    }

    public void Dispose() => _golden.Dispose();

    private void Check(string name, float[] ours, double[] twin)
    {
        double[] truth = _golden.Expected.ReadDoubles(name + ".y64");
        Exactness.CheckTwin(name, twin, truth);
        Exactness.Check(name, ours, _golden[name + ".y"], truth);
    }
}
