using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Encoders;

/// <summary>Reference data of the bare mechanism: a <see cref="SelfAttention"/> with its parameters, and what it gives.</summary>
internal sealed class AttentionFolder : IDisposable
{
    private readonly string _prefix;

    public AttentionFolder(string name, int features, int heads, string prefix = "")
    {
        (Golden, _prefix) = (new GoldenFolder(name), prefix);
        Attention = new SelfAttention(features, heads, features / heads, Parameters("query"), Parameters("key"), Parameters("value"));
    }

    public GoldenFolder Golden { get; }

    public SelfAttention Attention { get; }

    /// <summary>
    /// Checks scores, probs and context (by both attentions) of a case, and queries, keys and values where the case has them.
    /// </summary>
    /// <param name="name">The case.</param>
    /// <param name="hidden">A (B, La, C)</param>
    /// <param name="other">B (B, Lb, C)</param>
    /// <param name="batch">B</param>
    /// <param name="mask">The mask of each sequence as the reference has it.</param>
    /// <param name="ours">The same mask said in another way.</param>
    /// <param name="compared">The sequences for which both ways mean the same; null for all.</param>
    public void Check(string name, float[] hidden, float[] other, int batch, Func<int, AttentionMask?> mask, Func<int, AttentionMask?>? ours = null, int[]? compared = null)
    {
        int c = Attention.Features, heads = Attention.Heads, size = Attention.HeadSize;
        compared ??= [.. Enumerable.Range(0, batch)];
        AttentionMatrices[] matrices = [.. compared.Select(sequence => Attention.Trace(Of(hidden, sequence), Of(other, sequence), (ours ?? mask)(sequence)))];
        float[][] flash = [.. compared.Select(sequence =>
        {
            var context = new float[hidden.Length / batch];
            Attention.Forward(Of(hidden, sequence), Of(other, sequence), context, (ours ?? mask)(sequence));
            return context;
        })];

        double[] queries = Map("query", hidden), keys = Map("key", other), values = Map("value", other);
        AttentionTwin[] twins = [.. Enumerable.Range(0, batch).Select(sequence =>
            AttentionTwin.Forward(Of(queries, sequence), Of(keys, sequence), Of(values, sequence), heads, size, mask(sequence)))];

        Compare("scores", matrices.Select(m => Layout.HideKeys(m.Scores.ToDoubles()).ToFloats()), twins.SelectMany(t => t.Scores), Layout.HideKeys);
        Compare("probs", matrices.Select(m => m.Weights), twins.SelectMany(t => t.Weights));
        Compare("context", matrices.Select(m => m.Context), twins.SelectMany(t => t.Context));
        Compare("context", flash, twins.SelectMany(t => t.Context));
        if (!Golden.Expected.Parameters.ContainsKey(name + ".query")) return;
        CompareHeads("query", matrices.Select(m => m.Queries), queries);
        CompareHeads("key", matrices.Select(m => m.Keys), keys);
        CompareHeads("value", matrices.Select(m => m.Values), values);

        void Compare(string tensor, IEnumerable<float[]> numbers, IEnumerable<double> twin, Func<double[], double[]>? layout = null) =>
            Golden.Check($"{name}.{tensor}", [.. numbers.SelectMany(part => part)], [.. twin],
                all => [.. compared.SelectMany(sequence => Of(layout == null ? all : layout(all), sequence))]);

        void CompareHeads(string tensor, IEnumerable<float[]> rows, double[] twin)
        {
            int length = twin.Length / batch / c;
            Compare(tensor, rows.Select(part => Layout.SplitHeads(part, length, heads, size)), Layout.SplitHeads(twin, length, heads, size));
        }

        T[] Of<T>(T[] all, int sequence) => all[(sequence * all.Length / batch)..((sequence + 1) * all.Length / batch)];
    }

    public void Dispose() => Golden.Dispose();

    private double[] Map(string name, float[] x) => LinearTwin.Forward(
        x.ToDoubles(), Golden.Parameter(_prefix + name + ".weight").ToDoubles(), Golden.Parameter(_prefix + name + ".bias").ToDoubles());

    private LinearParameters Parameters(string name) => new(Golden.Parameter(_prefix + name + ".weight"), Golden.Parameter(_prefix + name + ".bias"));
}
