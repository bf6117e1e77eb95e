using System.Globalization;
using System.Text;
using Qkv.Encoders;
using Qkv.Kernels;

namespace Qkv.Tests.Docs;

/// <summary>docs/attention.md, computed: every number on it, and its two examples.</summary>
public class AttentionDocumentTests
{
    private const string Sentence = "我想吃酸菜鱼";
    private const int Head = 1;
    private const int Shown = 4;

    private static readonly Document s_document = new("docs/attention.md");
    private static readonly Lazy<AttentionTrace> s_trace = new(() =>
        TextEncoder.Load(Path.Combine(Document.Root, "models")).Trace(Sentence, addSpecialTokens: false));

    private static AttentionTrace Trace => s_trace.Value;

    private static int L => Trace.Length;

    private static int D => Trace.HeadSize;

    [Fact]
    public void Tokens_and_ids()
    {
        var text = new StringBuilder();
        for (int i = 0; i < L; i++) text.Append(CultureInfo.InvariantCulture, $"{i}  {Sentence[i]}  id {Trace.IdsOf(0)[i]}\n");
        s_document.Check("numbers", "tokens", text.ToString());
    }

    [Fact]
    public void Embeddings() => s_document.Check("numbers", "embeddings",
        Rows("word + position + segment → LayerNorm", i => $"{Columns("embeddings.sum", i, 0)}  →  {Columns("embeddings", i, 0)}"));

    [Fact]
    public void Queries_keys_and_values() => s_document.Check("numbers", "queries-keys-values",
        Rows("Q | K | V", i => $"{Columns("layers.0.queries", i, Head)}  |  {Columns("layers.0.keys", i, Head)}  |  {Columns("layers.0.values", i, Head)}"));

    [Fact]
    public void One_score()
    {
        float[] q = Row("layers.0.queries", 2, Head).ToArray(), k = Row("layers.0.keys", 1, Head).ToArray();
        double product = 0;
        for (int d = 0; d < D; d++) product += (double)q[d] * k[d];
        string terms = string.Join(" + ", Enumerable.Range(0, 3).Select(d => $"({Number(q[d])})·({Number(k[d])})"));
        s_document.Check("numbers", "one-score", $"""
            q·k = {terms} + … ({D} terms) = {Number(product)}
            scores[2, 1] = {Number(product)} / √{D} = {Number(product / Math.Sqrt(D))}
            """);
        Assert.Equal(product / Math.Sqrt(D), Square("layers.0.scores", 2)[1], 1e-4);
    }

    [Fact]
    public void Scores() => s_document.Check("numbers", "scores", Table("layers.0.scores"));

    [Fact]
    public void Weights() => s_document.Check("numbers", "weights", Table("layers.0.weights"));

    [Fact]
    public void Context()
    {
        ReadOnlySpan<float> weights = Square("layers.0.weights", 2);
        var text = new StringBuilder();
        for (int j = 0; j < L; j++)
            text.Append(CultureInfo.InvariantCulture, $"{weights[j],6:f3} · V[{Sentence[j]}]  =  {Numbers(Row("layers.0.values", j, Head), weights[j])}\n");
        text.Append(CultureInfo.InvariantCulture, $"   context[{Sentence[2]}]  =  {Numbers(ContextRow(2), 1)}\n");
        s_document.Check("numbers", "context", text.ToString());
        for (int d = 0; d < D; d++)
        {
            double sum = 0;
            for (int j = 0; j < L; j++) sum += (double)weights[j] * Row("layers.0.values", j, Head)[d];
            Assert.Equal(sum, ContextRow(2)[d], 1e-5);
        }
    }

    [Fact]
    public void Saturation()
    {
        float[] divided = Square("layers.0.weights", 2).ToArray();
        float[] undivided = [.. Square("layers.0.scores", 2).ToArray().Select(score => score * MathF.Sqrt(D))];
        Softmax.Forward(undivided, L, undivided);
        string Show(float[] weights) => string.Concat(weights.Select(weight => $"{Number(weight),7}")) + $"    1 − Σ weights² = {Number(1 - weights.Sum(weight => (double)weight * weight))}";
        s_document.Check("numbers", "saturation", $"with ÷√D     {Show(divided)}\nwithout      {Show(undivided)}");
    }

    [Fact]
    public void Exchanging_two_tokens_of_keys_and_values_changes_nothing()
    {
        s_document.Check("code", "permutation", Region("permutation"));

        // begin permutation
        var random = new Random(1);
        float[] queries = Numbers(6 * 64), keys = Numbers(6 * 64), values = Numbers(6 * 64); // (L, H·D): 4 heads of 16
        float[] context = new float[6 * 64], exchanged = new float[6 * 64];

        FlashAttention.Forward(queries, keys, values, heads: 4, headSize: 16, context);
        Exchange(keys, 1, 4);
        Exchange(values, 1, 4);
        FlashAttention.Forward(queries, keys, values, heads: 4, headSize: 16, exchanged);

        for (int i = 0; i < context.Length; i++) Assert.Equal(context[i], exchanged[i], 1e-6f);

        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        void Exchange(float[] rows, int i, int j)
        {
            for (int d = 0; d < 64; d++) (rows[i * 64 + d], rows[j * 64 + d]) = (rows[j * 64 + d], rows[i * 64 + d]);
        }
        // end permutation
    }

    [Fact]
    public void One_sentence_looks_at_another()
    {
        s_document.Check("code", "cross-attention", Region("cross-attention"));

        // begin cross-attention
        var random = new Random(2);
        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        var attention = new SelfAttention(features: 64, heads: 4, headSize: 16,
            queries: new LinearParameters(Numbers(64 * 64), Numbers(64)),
            keys: new LinearParameters(Numbers(64 * 64), Numbers(64)),
            values: new LinearParameters(Numbers(64 * 64), Numbers(64)));
        float[] a = Numbers(5 * 64), b = Numbers(9 * 64); // sentence A of 5 tokens, sentence B of 9

        AttentionMatrices cross = attention.Trace(a, b);

        Assert.Equal(4 * 5 * 9, cross.Weights.Length); // (H, La, Lb)
        Assert.Equal(1f, cross.Weights[..9].Sum(), 1e-5f); // A's first token shares its attention among B's nine
        Assert.Equal(5 * 64, cross.Context.Length); // one row for each token of A
        // end cross-attention
    }

    private static string Rows(string title, Func<int, string> row) =>
        string.Concat(Enumerable.Range(0, L).Select(i => $"{Sentence[i]}  {row(i)}\n").Prepend($"    {title}\n"));

    private static string Columns(string tensor, int token, int head) => Numbers(Row(tensor, token, head), 1);

    private static string Number(double number) => number.ToString("f3", CultureInfo.InvariantCulture);

    private static string Numbers(ReadOnlySpan<float> row, float factor)
    {
        var text = new StringBuilder();
        for (int d = 0; d < Shown; d++) text.Append(CultureInfo.InvariantCulture, $"{row[d] * factor,7:f3}");
        return text.Append(" …").ToString();
    }

    private static string Table(string tensor)
    {
        var text = new StringBuilder("    ").AppendJoin("", Sentence.Select(key => $"     {key}")).Append('\n');
        for (int i = 0; i < L; i++)
        {
            text.Append(Sentence[i]).Append("  ");
            foreach (float number in Square(tensor, i)) text.Append(CultureInfo.InvariantCulture, $"{number,7:f3}");
            text.Append('\n');
        }
        return text.ToString();
    }

    /// <summary>Row of (1, L, C), or of head <paramref name="head"/> of (1, H, L, D).</summary>
    private static ReadOnlySpan<float> Row(string name, int token, int head)
    {
        TraceTensor tensor = Trace[name];
        int columns = (int)tensor.Shape[^1], rows = (int)tensor.Shape[^2];
        return tensor.ToFloats().AsSpan((tensor.Shape.Count == 4 ? head * rows + token : token) * columns, columns);
    }

    private static ReadOnlySpan<float> Square(string name, int row) => Row(name, row, Head);

    private static ReadOnlySpan<float> ContextRow(int token) => Row("layers.0.context", token, 0).Slice(Head * D, D);

    private static string Region(string name) => Document.Region("tests/Qkv.Tests/Docs/AttentionDocumentTests.cs", name);
}
