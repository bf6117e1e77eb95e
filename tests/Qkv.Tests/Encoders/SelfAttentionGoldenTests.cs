using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Encoders;

/// <summary>The bare mechanism equals Hugging Face's.</summary>
[Trait("Suite", "Numerical")]
public class SelfAttentionGoldenTests
{
    [Theory]
    [InlineData(12, "")]
    [InlineData(1, "single_head.")]
    public void Six_tokens_of_768_features(int heads, string name)
    {
        using var golden = new GoldenFolder("self-attention-768");
        const int features = 768, length = 6;
        int size = features / heads;
        float[] hidden = golden["hidden_states"], queries = Map("query");
        // The folder has query.weight only: K and V are taken as the reference computed them in float32.
        float[] keys = Layout.JoinHeads(golden[name + "key"], length, heads, size);
        float[] values = Layout.JoinHeads(golden[name + "value"], length, heads, size);
        float[] scores = new float[heads * length * length], weights = new float[scores.Length], context = new float[hidden.Length], flash = new float[hidden.Length];
        AttentionReference.Forward(queries, keys, values, heads, size, scores, weights, context);
        FlashAttention.Forward(queries, keys, values, heads, size, flash);

        golden.Check(name + "query", Layout.SplitHeads(queries, length, heads, size), Layout.SplitHeads(Twin("query"), length, heads, size));
        foreach ((string tensor, float[] ours) in (ReadOnlySpan<(string, float[])>)[("scores", scores), ("probs", weights), ("context", context), ("context", flash)])
            Exactness.Check(name + tensor, ours, golden[name + tensor], golden.Truth(name + tensor));

        float[] Map(string map)
        {
            var y = new float[hidden.Length];
            new Linear(features, features, new(golden.Parameter(map + ".weight"), golden.Parameter(map + ".bias"))).Forward(hidden, y);
            return y;
        }

        double[] Twin(string map) =>
            LinearTwin.Forward(hidden.ToDoubles(), golden.Parameter(map + ".weight").ToDoubles(), golden.Parameter(map + ".bias").ToDoubles());
    }

    [Theory]
    [InlineData("no_mask", false)]
    [InlineData("masked", false)]
    [InlineData("masked", true)]
    public void Cross_attention(string name, bool boolean)
    {
        using var folder = new AttentionFolder("cross-attention", 64, 4);
        float[] additive = folder.Golden["encoder_attention_mask_additive"];
        bool masked = name == "masked";
        AttentionMask? Mask(int sequence) => masked ? new() { Additive = additive.AsMemory(sequence * 9, 9) } : null;
        folder.Check(name, folder.Golden["hidden_states"], folder.Golden["encoder_hidden_states"], 2, Mask,
            sequence => boolean ? new() { VisibleKeys = additive.Skip(sequence * 9).Take(9).Select(number => number == 0).ToArray() } : Mask(sequence));
    }

    [Theory]
    [InlineData("base", "", false)]
    [InlineData("swap", "swap", false)]
    [InlineData("perm", "permutation", false)]
    [InlineData("permq", "permutation", true)]
    public void Permuted_tokens(string name, string permutation, bool queriesToo)
    {
        using var folder = new AttentionFolder("permutation", 32, 4);
        float[] hidden = folder.Golden["hidden_states"];
        int[] order = permutation == "" ? [.. Enumerable.Range(0, 8)] : folder.Golden.Expected.ReadIntegers(permutation);
        float[] permuted = [.. order.SelectMany(token => hidden.Skip(token * 32).Take(32))];
        folder.Check(name, queriesToo ? permuted : hidden, permuted, 1, _ => null);
    }

    [Fact]
    public void Keys_and_values_in_another_order_give_the_same_context()
    {
        using var folder = new AttentionFolder("permutation", 32, 4);
        float[] hidden = folder.Golden["hidden_states"];
        float[] permuted = [.. folder.Golden.Expected.ReadIntegers("permutation").SelectMany(token => hidden.Skip(token * 32).Take(32))];
        var context = new float[hidden.Length];
        folder.Attention.Forward(hidden, permuted, context);
        Exactness.Check("permuted", context, folder.Golden["perm.context"], folder.Golden["base.context"].ToDoubles());
    }
}
