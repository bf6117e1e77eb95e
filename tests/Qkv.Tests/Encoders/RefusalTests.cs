using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>What does not fit together is an error that says what was needed and what was given.</summary>
public sealed class RefusalTests : IDisposable
{
    private readonly RandomModel _files = new();

    [Theory]
    [InlineData(50, 0, 0, "token id 50 is outside 0 … 49")]
    [InlineData(-1, 0, 0, "token id -1 is outside 0 … 49")]
    [InlineData(0, 2, 0, "segment id 2 is outside 0 … 1")]
    [InlineData(0, 0, 600, "position 600 is outside 0 … 599")]
    public void An_id_outside_its_table(int id, int type, int position, string message)
    {
        Model model = _files.Load(1);
        var batch = new TokenBatch();
        batch.Add([1, id], [0, type], [0, position]);
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => HiddenStates.Of(model, batch)).Message);
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => new AttentionTrace(model, batch)).Message);
    }

    [Theory]
    [InlineData("encoder.layer.1.attention.self.key.weight", float.NaN)]
    [InlineData("encoder.layer.0.intermediate.dense.weight", float.PositiveInfinity)]
    [InlineData("encoder.layer.0.output.dense.bias", float.NegativeInfinity)]
    [InlineData("embeddings.LayerNorm.weight", float.NaN)]
    public void A_parameter_that_is_no_number(string name, float number)
    {
        using var damaged = new RandomModel((name, number));
        foreach (Precision precision in Enum.GetValues<Precision>())
            Assert.Contains($"tensor '{name}' holds NaN or an infinity", Assert.Throws<InvalidDataException>(() => damaged.Load(2, precision)).Message);
        // At full size it is a number like any other.
        using var large = new RandomModel((name, float.MaxValue));
        large.Load(2);
    }

    [Fact]
    public void Parameters_and_rows_of_other_sizes() => Assert.All(new (Action Call, string[] Parts)[]
    {
        (() => _ = new Linear(3, 2, new(new float[5], [])), ["Linear", "parameters.W", "6", "5"]),
        (() => _ = new Linear(3, 0, new([], [])), ["Linear", "outputs", "0"]),
        (() => Map().Forward(new float[4], new float[2]), ["Linear", "4", "3 input features"]),
        (() => Map().Forward(new float[6], new float[5]), ["Linear", "y", "4", "5"]),
        (() => _ = new SelfAttention(2, 0, 1, new([], []), new([], []), new([], [])), ["SelfAttention", "heads"]),
        (() => _ = new SelfAttention(1, 1, 1, new([1], []), new([1, 2], []), new([1], [])), ["keys.W", "1", "2"]),
        (() => LayerNorm.Forward(new float[5], new float[2], [], 1e-5f, new float[5]), ["LayerNorm", "5", "2"]),
        (() => Softmax.Forward(new float[5], 2, new float[5]), ["Softmax", "5", "2"]),
        (() => Flash(new float[6], new float[4], null), ["FlashAttention", "queries", "heads · headSize"]),
        (() => Flash(new float[4], new float[8], new() { VisibleKeys = new bool[3] }), ["VisibleKeys", "2", "3"]),
        (() => Flash(new float[4], new float[8], new() { Additive = new float[3] }), ["Additive", "(2, 1, 2)", "3"]),
        (() => Flash(new float[4], new float[8], new() { HeadFactors = new float[1] }), ["HeadFactors", "2", "1"]),
        (() => ActivationFunctions.Parse("gegl"), ["gegl", "gelu", "swish"]),
    }, refused =>
    {
        string message = Assert.Throws<ArgumentException>(refused.Call).Message;
        Assert.All(refused.Parts, part => Assert.Contains(part, message));
    });

    public void Dispose() => _files.Dispose();

    private static Linear Map() => new(3, 2, new(new float[6], []));

    private static void Flash(float[] queries, float[] keys, AttentionMask? mask) => FlashAttention.Forward(queries, keys, keys, 2, 2, new float[queries.Length], mask);
}
