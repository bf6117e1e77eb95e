using Qkv.Encoders;
using Qkv.Tests.Encoders;
using Qkv.Text;

namespace Qkv.Tests;

/// <summary>What the trace has beyond the tensors that Hugging Face names.</summary>
[Trait("Suite", "Numerical")]
public sealed class AttentionTraceTests : IDisposable
{
    private readonly RandomModel _files = new();
    private readonly TokenBatch _batch = new();
    private readonly AttentionTrace _trace;

    public AttentionTraceTests()
    {
        RandomModel.Add(_batch, 9, 1);
        RandomModel.Add(_batch, 20, 2, holes: true);
        Model model = _files.Load(2);
        _trace = new AttentionTrace(model, _batch, 24);
    }

    [Fact]
    public void Sums_are_the_sums_of_their_parts()
    {
        AssertSum("embeddings.sum", "embeddings.word", "embeddings.segment", "embeddings.position");
        for (int layer = 0; layer < _trace.Layers; layer++)
            AssertSum($"layers.{layer}.attention_sum", $"layers.{layer}.attention_projection", layer == 0 ? "embeddings" : $"layers.{layer - 1}.output");
    }

    [Fact]
    public void Weights_of_a_head_are_a_part_of_the_tensor()
    {
        TraceTensor weights = _trace["layers.1.weights"];
        Assert.Equal([2, 4, 24, 24], weights.Shape);
        float[] all = weights.ToFloats();
        ReadOnlySpan<float> head = _trace.WeightsOf(1, 1, 3);
        for (int row = 0; row < 20; row++) Bits.Equal(head.Slice(row * 20, 20), all.AsSpan(((4 + 3) * 24 + row) * 24, 20));
        Assert.Throws<ArgumentOutOfRangeException>(() => _trace.WeightsOf(2, 0, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => _trace.WeightsOf(0, 0, 4));
    }

    [Fact]
    public void Inputs_are_there_and_what_is_not_there_is_an_error_with_the_names()
    {
        Assert.Equal([9, 20], _trace["sequence_lengths"].ToIntegers());
        Assert.Equal(_trace.IdsOf(0).ToArray(), _trace["input_ids"].ToIntegers().Take(9).Select(id => (int)id));
        Assert.Contains("layers.0.queries", Assert.Throws<KeyNotFoundException>(() => _trace["layers.9.queries"]).Message);
        Assert.Throws<InvalidOperationException>(() => _trace["input_ids"].ToFloats());
    }

    public void Dispose() => _files.Dispose();

    private void AssertSum(string sum, params string[] parts) =>
        Bits.Equal(parts.Select(part => _trace[part].ToFloats()).Aggregate((a, b) => [.. a.Zip(b, (x, y) => x + y)]), _trace[sum].ToFloats());
}
