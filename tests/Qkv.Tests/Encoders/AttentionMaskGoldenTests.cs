using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Encoders;

/// <summary>Six sequences of eight tokens through one attention block, under every kind of mask that Hugging Face knows.</summary>
[Trait("Suite", "Numerical")]
public sealed class AttentionMaskGoldenTests : IDisposable
{
    private const int Batch = 6, Length = 8, Features = 32, Heads = 4;

    private readonly AttentionFolder _folder = new("attention-masks", Features, Heads, "self.");

    private GoldenFolder Golden => _folder.Golden;

    private float[] Hidden => Golden["hidden_states"];

    [Theory]
    [InlineData("none")]
    [InlineData("mask2d")]
    [InlineData("mask3d")]
    [InlineData("minus10000")]
    [InlineData("head_mask")]
    public void As_Hugging_Face_masks(string name)
    {
        _folder.Check(name, Hidden, Hidden, Batch, Mask(name));

        // The rest of the block: output = LayerNorm(projection(context) + x), each step through the public interface.
        float[] context = new float[Hidden.Length], output = new float[Hidden.Length];
        const int row = Length * Features;
        for (int sequence = 0; sequence < Batch; sequence++)
            _folder.Attention.Forward(Hidden.AsSpan(sequence * row, row), context.AsSpan(sequence * row, row), Mask(name)(sequence));
        new Linear(Features, Features, new(Golden.Parameter("output.dense.weight"), Golden.Parameter("output.dense.bias"))).Forward(context, output);
        float[] sum = [.. output.Zip(Hidden, (projected, x) => projected + x)];
        LayerNorm.Forward(sum, Golden.Parameter("output.LayerNorm.weight"), Golden.Parameter("output.LayerNorm.bias"), 1e-12f, output);

        double[] projection = LinearTwin.Forward(Golden.Truth(name + ".context"), Parameter("output.dense.weight"), Parameter("output.dense.bias"));
        Golden.Check(name + ".output", output,
            LayerNormTwin.Forward(LinearTwin.Add(projection, Hidden.ToDoubles()), Parameter("output.LayerNorm.weight"), Parameter("output.LayerNorm.bias"), 1e-12));
    }

    [Fact]
    public void A_boolean_mask_is_the_same_where_a_key_is_left()
    {
        int[] compared = [.. Enumerable.Range(0, Batch).Where(sequence => Keep("mask2d", sequence, Length).Contains(1))];
        Assert.Equal([0, 1, 2, 3, 4], compared);
        _folder.Check("mask2d", Hidden, Hidden, Batch, Mask("mask2d"), Boolean, compared);
    }

    [Fact]
    public void A_boolean_mask_that_hides_every_key_gives_zeros()
    {
        float[] hidden = Hidden[^(Length * Features)..], context = new float[hidden.Length];
        AttentionMatrices matrices = _folder.Attention.Trace(hidden, Boolean(Batch - 1));
        _folder.Attention.Forward(hidden, context, Boolean(Batch - 1));
        Assert.All(matrices.Scores, score => Assert.Equal(float.NegativeInfinity, score));
        Assert.All([.. matrices.Weights, .. matrices.Context, .. context], number => Assert.Equal(0f, number));
    }

    public void Dispose() => _folder.Dispose();

    private AttentionMask Boolean(int sequence) => new() { VisibleKeys = Keep("mask2d", sequence, Length).Select(keep => keep == 1).ToArray() };

    private Func<int, AttentionMask?> Mask(string name) => sequence => name switch
    {
        "mask2d" => new() { Additive = Additive(Keep("mask2d", sequence, Length), float.MinValue) },
        "mask3d" => new() { Additive = Additive(Keep("mask3d", sequence, Length * Length), float.MinValue) },
        "minus10000" => new() { Additive = Additive(Keep("mask2d", sequence, Length), -10000) },
        "head_mask" => new() { HeadFactors = Golden["head_mask"] },
        _ => null,
    };

    private int[] Keep(string mask, int sequence, int count) => [.. Golden.Expected.ReadIntegers(mask).Skip(sequence * count).Take(count)];

    private static float[] Additive(int[] keep, float hidden) => [.. keep.Select(value => value == 1 ? 0 : hidden)];

    private double[] Parameter(string name) => Golden.Parameter(name).ToDoubles();
}
