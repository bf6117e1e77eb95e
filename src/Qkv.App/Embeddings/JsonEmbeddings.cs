using Qkv.App.Output;

namespace Qkv.App.Embeddings;

/// <summary>A line of JSON for each text: <c>{text, embedding, tokens, truncated}</c>.</summary>
internal sealed class JsonEmbeddings(Stream stream) : EmbeddingWriter
{
    private readonly JsonLineWriter _lines = new(stream);

    public override void Write(string text, ReadOnlySpan<float> vector, int tokens, bool truncated) =>
        _lines.Write(new Row(text, vector, tokens, truncated), static (json, row) =>
        {
            json.WriteStartObject();
            json.WriteString("text", row.Text);
            json.WriteStartArray("embedding");
            foreach (float number in row.Vector) json.WriteNumberValue(number);
            json.WriteEndArray();
            json.WriteNumber("tokens", row.Tokens);
            json.WriteBoolean("truncated", row.Truncated);
            json.WriteEndObject();
        });

    public override void Dispose() => _lines.Dispose();

    private readonly ref struct Row(string text, ReadOnlySpan<float> vector, int tokens, bool truncated)
    {
        public readonly string Text = text;
        public readonly ReadOnlySpan<float> Vector = vector;
        public readonly int Tokens = tokens;
        public readonly bool Truncated = truncated;
    }
}
