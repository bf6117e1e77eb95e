using Qkv.Kernels;

namespace Qkv.Tests.Encoders;

/// <summary>1,537 tokens, the last 137 hidden: six whole tiles of keys and one key more.</summary>
[Trait("Suite", "Numerical")]
public sealed class LongAttentionTests : IDisposable
{
    private const int Heads = 4, HeadSize = 64, Length = 1537;

    // The README of the data: what Hugging Face gives in float32 is this far from the truth.
    private const double Reference = 2.9e-6;

    private readonly GoldenFolder _golden = new("long");

    private float[] Queries => Rows("query");

    private float[] Keys => Rows("key");

    private float[] Values => Rows("value");

    private int[] Keep => _golden.Expected.ReadIntegers("mask");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Flash_attention(bool boolean)
    {
        var context = new float[Length * Heads * HeadSize];
        FlashAttention.Forward(Queries, Keys, Values, Heads, HeadSize, context, Mask(boolean));
        CheckContext(context);
    }

    [Fact]
    public void The_reference_with_its_weights()
    {
        float[] scores = new float[Heads * Length * Length], weights = new float[scores.Length], context = new float[Length * Heads * HeadSize];
        AttentionReference.Forward(Queries, Keys, Values, Heads, HeadSize, scores, weights, context, Mask(true));
        CheckContext(context);
        int[] rows = _golden.Expected.ReadIntegers("rows");
        float[] chosen = [.. Enumerable.Range(0, Heads).SelectMany(head => rows.SelectMany(row => weights.AsSpan((head * Length + row) * Length, Length).ToArray()))];
        Exactness.Within("probs_rows", chosen, _golden["probs_rows"].ToDoubles(), 1e-6);
    }

    public void Dispose() => _golden.Dispose();

    private void CheckContext(float[] context)
    {
        double[] truth = _golden["context"].ToDoubles();
        Exactness.Within("context", context, truth, 2 * Reference + 1e-6 * Math.Max(1, truth.Max(Math.Abs)));
    }

    private AttentionMask Mask(bool boolean) => boolean
        ? new() { VisibleKeys = Keep.Select(keep => keep == 1).ToArray() }
        : new() { Additive = Keep.Select(keep => keep == 1 ? 0 : float.MinValue).ToArray() };

    private float[] Rows(string name) => Layout.JoinHeads(_golden[name], Length, Heads, HeadSize);
}
