using Qkv.Encoders;
using Qkv.Tests.Encoders;
using Qkv.Text;

namespace Qkv.Tests;

/// <summary>What an experiment changes, and that it changes nothing else.</summary>
[Trait("Suite", "Numerical")]
public sealed class InterventionTests : IDisposable
{
    private const int Length = 21;

    private readonly RandomModel _files = new();
    private readonly Model _model;
    private readonly TokenBatch _batch = new();

    public InterventionTests()
    {
        _model = _files.Load(2);
        RandomModel.Add(_batch, Length, 3);
    }

    private AttentionTrace Trace(params Intervention[] interventions) => Trace(_batch, interventions);

    private AttentionTrace Trace(TokenBatch batch, params Intervention[] interventions) =>
        new(_model, batch, changes: Intervention.Combine(_model.Config, batch, interventions));

    [Fact]
    public void What_changes_nothing_leaves_every_bit()
    {
        AttentionTrace plain = Trace();
        Same(plain, Trace(Intervention.Temperature(1)));
        Same(plain, Trace(Intervention.Temperature(1, 0, 2)));
        Same(plain, Trace(Intervention.SwapKeys(4, 4)));
        Same(plain, Trace(Intervention.SwapKeys(4, 9), Intervention.SwapKeys(9, 4)));
        Same(plain, Trace(Intervention.CrossAttention([1, 2], [.. Enumerable.Range(0, Length)], 1)));
    }

    [Fact]
    public void Memory_that_is_used_again_changes_nothing()
    {
        AttentionTrace plain = Trace();
        var longer = new TokenBatch();
        RandomModel.Add(longer, 60, 9);
        var memory = new AttentionTrace(_model, longer).Memory;
        var again = new AttentionTrace(_model, _batch, memory: memory);
        Assert.Same(memory, again.Memory);
        Same(plain, again);
    }

    [Fact]
    public void Nobody_waits_for_a_trace_that_is_not_wanted_any_more() =>
        Assert.Throws<OperationCanceledException>(() => new AttentionTrace(_model, _batch, cancellation: new CancellationToken(canceled: true)));

    [Fact]
    public void A_head_that_is_off_adds_exactly_nothing()
    {
        AttentionTrace plain = Trace(), off = Trace(Intervention.DisableHead(1, 2));
        Assert.All(off.WeightsOf(0, 1, 2).ToArray(), weight => Assert.Equal(0f, weight));
        float[] context = off["layers.1.context"].ToFloats(), before = plain["layers.1.context"].ToFloats();
        for (int i = 0; i < context.Length; i++)
        {
            bool inHead = i % _model.Config.HiddenSize / _model.Config.HeadSize == 2;
            Assert.Equal(inHead ? 0f : before[i], context[i]);
        }
        foreach (string name in (string[])["layers.0.output", "layers.1.queries", "layers.1.scores"]) Bits.Equal(plain[name].ToFloats(), off[name].ToFloats());
        Assert.NotEqual(plain["layers.1.output"].ToFloats(), off["layers.1.output"].ToFloats());
    }

    [Fact]
    public void A_layer_that_is_off_lets_everything_through()
    {
        AttentionTrace off = Trace(Intervention.DisableLayer(0));
        Bits.Equal(off["embeddings"].ToFloats(), off["layers.0.output"].ToFloats());
        Assert.All(off["layers.0.weights"].ToFloats(), weight => Assert.Equal(0f, weight));
        Assert.All(off["layers.0.feed_forward"].ToFloats(), number => Assert.Equal(0f, number));
        Assert.NotEqual(off["layers.0.output"].ToFloats(), off["layers.1.output"].ToFloats());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(Length - 1)]
    public void Nobody_looks_at_a_hidden_token(int hidden)
    {
        AttentionTrace trace = Trace(Intervention.HideToken(hidden));
        Assert.Equal(Length, trace.Length);
        for (int layer = 0; layer < trace.Layers; layer++)
            for (int head = 0; head < trace.Heads; head++)
                for (int row = 0; row < Length; row++)
                {
                    ReadOnlySpan<float> weights = trace.WeightsOf(0, layer, head).Slice(row * Length, Length);
                    Assert.Equal(0f, weights[hidden]);
                    Assert.Equal(1.0, weights.ToArray().Sum(weight => (double)weight), 1e-5);
                }
    }

    [Fact]
    public void Hiding_a_token_is_what_an_attention_mask_does()
    {
        var masked = new TokenBatch();
        int[] mask = [.. Enumerable.Range(0, Length).Select(token => token == 7 ? 0 : 1)];
        masked.Add(_batch.Ids, _batch.TypeIds, attentionMask: mask);
        AttentionTrace expected = Trace(masked), hidden = Trace(Intervention.HideToken(7));
        foreach (string name in (string[])["layers.0.scores", "layers.1.weights", "last_hidden_state"]) Bits.Equal(expected[name].ToFloats(), hidden[name].ToFloats());
    }

    [Fact]
    public void A_temperature_divides_the_scores()
    {
        AttentionTrace plain = Trace(), hot = Trace(Intervention.Temperature(2, layer: 0, head: 1));
        float[] before = plain["layers.0.scores"].ToFloats(), scores = hot["layers.0.scores"].ToFloats();
        for (int i = 0; i < scores.Length; i++) Assert.Equal(i / (Length * Length) == 1 ? before[i] / 2 : before[i], scores[i]); // halving is exact
        var weights = new float[scores.Length];
        Qkv.Kernels.Softmax.Forward(scores, Length, weights);
        Bits.Equal(weights, hot["layers.0.weights"].ToFloats());
        // Two of them multiply, and never leave what a score can bear.
        Bits.Equal(Trace(Intervention.Temperature(4, 1))["layers.1.scores"].ToFloats(), Trace(Intervention.Temperature(2), Intervention.Temperature(2, 1), Intervention.Temperature(0.5f, 0))["layers.1.scores"].ToFloats());
        foreach (float extreme in (float[])[1e-6f, 1e6f])
            Assert.All(Trace([.. Enumerable.Repeat(Intervention.Temperature(extreme), 8)])["layers.1.scores"].ToFloats(), score => Assert.True(float.IsFinite(score)));
    }

    [Fact]
    public void Keys_and_values_that_change_places_together_change_nothing_but_rounding()
    {
        AttentionTrace plain = Trace(), swapped = Trace(Intervention.SwapKeys(2, 17, layer: 1));
        Assert.NotEqual(plain["layers.1.keys"].ToFloats(), swapped["layers.1.keys"].ToFloats());
        Close(plain, swapped, "layers.1", plain["layers.1.context"].ToFloats(), swapped["layers.1.context"].ToFloats());
    }

    [Fact]
    public void Without_positions_the_order_is_not_known()
    {
        AttentionTrace plain = Trace(), without = Trace(Intervention.WithoutPositions());
        Assert.All(without["embeddings.position"].ToFloats(), number => Assert.Equal(0f, number));
        Bits.Equal([.. plain["embeddings.word"].ToFloats().Zip(plain["embeddings.segment"].ToFloats(), (word, segment) => word + segment)], without["embeddings.sum"].ToFloats());

        int[] order = [.. Enumerable.Range(0, Length).Reverse()];
        var reversed = new TokenBatch();
        reversed.Add([.. order.Select(token => _batch.Ids[token])], [.. order.Select(token => _batch.TypeIds[token])]);
        int c = _model.Config.HiddenSize;
        float[] context = Trace(reversed, Intervention.WithoutPositions())["layers.0.context"].ToFloats();
        Close(without, without, "layers.0", without["layers.0.context"].ToFloats(), [.. order.SelectMany(token => context.Skip(token * c).Take(c))]);
        // With positions it is.
        float[] ordered = Trace(reversed)["layers.0.context"].ToFloats();
        Assert.True(plain["layers.0.context"].ToFloats().Zip(order.SelectMany(token => ordered.Skip(token * c).Take(c)), (x, y) => MathF.Abs(x - y)).Max() > 0.01f);
    }

    [Fact]
    public void Cross_attention_is_the_mechanism_between_two_sentences()
    {
        int[] a = [.. Enumerable.Range(0, 8)], b = [.. Enumerable.Range(8, Length - 8)];
        AttentionTrace plain = Trace(), cross = Trace(Intervention.CrossAttention(a, b, layer: 0));
        int c = _model.Config.HiddenSize;
        float[] x = plain["embeddings"].ToFloats(), context = cross["layers.0.context"].ToFloats();
        AttentionMatrices expected = _model.Encoder.Layers[0].Attention.Trace(x.AsSpan(0, 8 * c), x.AsSpan(8 * c));
        Close(plain, cross, "layers.0", expected.Context, context[..(8 * c)]);
        Bits.Equal(plain["layers.0.context"].ToFloats().AsSpan(8 * c), context.AsSpan(8 * c));
        for (int row = 0; row < 8; row++) Assert.All(cross.WeightsOf(0, 0, 3).Slice(row * Length, 8).ToArray(), weight => Assert.Equal(0f, weight));
        // Nothing to look at: nothing, and no NaN.
        Assert.All(Trace(Intervention.CrossAttention([5], [], 0, 1)).WeightsOf(0, 0, 1).Slice(5 * Length, Length).ToArray(), weight => Assert.Equal(0f, weight));
    }

    [Fact]
    public void What_is_not_there_is_refused()
    {
        Refused("no layer 2", Intervention.DisableLayer(2));
        Refused("no head 4", Intervention.DisableHead(0, 4));
        Refused("no head -1", Intervention.Temperature(2, 0, -1));
        Refused($"no token {Length}", Intervention.HideToken(Length));
        Refused("no token -1", Intervention.SwapKeys(-1, 0));
        Refused("no token 99", Intervention.CrossAttention([0], [99], 0));
        foreach (float value in (float[])[0f, -1f, float.NaN, float.PositiveInfinity, 1e-45f, 1e-7f, 1e7f]) Assert.Contains("above 0", Assert.Throws<ArgumentException>(() => Intervention.Temperature(value)).Message);
        RandomModel.Add(_batch, 3, 1);
        Refused("one sequence", Intervention.WithoutPositions());
    }

    public void Dispose() => _files.Dispose();

    private void Refused(string words, Intervention intervention) => Assert.Contains(words, Assert.Throws<ArgumentException>(() => Trace(intervention)).Message);

    private static void Same(AttentionTrace expected, AttentionTrace actual)
    {
        foreach (TraceTensor tensor in expected.Tensors.Where(tensor => tensor.HoldsFloats)) Bits.Equal(tensor.ToFloats(), actual[tensor.Name].ToFloats());
    }

    /// <summary>
    /// Σ w·v in another order: each order is within L roundings of max|v| of the exact sum, as Σ w = 1, and so is the sum under the softmax.
    /// </summary>
    private static void Close(AttentionTrace plain, AttentionTrace other, string layer, float[] expected, float[] actual)
    {
        float most = plain[$"{layer}.values"].ToFloats().Concat(other[$"{layer}.values"].ToFloats()).Max(MathF.Abs);
        float tolerance = 4 * Length * MathF.Pow(2, -24) * most;
        Assert.Equal(expected.Length, actual.Length);
        Assert.True(expected.Zip(actual, (x, y) => MathF.Abs(x - y)).Max() <= tolerance);
    }
}
