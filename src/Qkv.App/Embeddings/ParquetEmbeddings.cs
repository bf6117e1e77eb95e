using Parquet;
using Parquet.Schema;

namespace Qkv.App.Embeddings;

/// <summary>Parquet: text, embedding (a list of float), tokens, truncated. Rows are held until a row group is full.</summary>
internal sealed class ParquetEmbeddings : EmbeddingWriter
{
    // 16 MB of vectors: large enough for fast reading, small enough to hold.
    private const int NumbersPerGroup = 4 << 20;

    private readonly DataField<string> _text = new("text", false);
    private readonly DataField<float> _number = new("element", false);
    private readonly DataField<int> _tokens = new("tokens", false);
    private readonly DataField<bool> _truncated = new("truncated", false);
    private readonly ParquetWriter _writer;
    private readonly int _dimensions;

    private readonly List<string> _texts = [];
    private readonly List<float> _numbers = [];
    private readonly List<int> _repetitions = [];
    private readonly List<int> _tokenCounts = [];
    private readonly List<bool> _cuts = [];

    public ParquetEmbeddings(Stream stream, int dimensions)
    {
        _dimensions = dimensions;
        var schema = new ParquetSchema(_text, new ListField("embedding", _number), _tokens, _truncated);
        _writer = ParquetWriter.CreateAsync(schema, stream).GetAwaiter().GetResult();
    }

    public override void Write(string text, ReadOnlySpan<float> vector, int tokens, bool truncated)
    {
        _texts.Add(text);
        _numbers.AddRange(vector);
        // A new list starts at 0, its further elements repeat at level 1.
        for (int i = 0; i < vector.Length; i++) _repetitions.Add(i == 0 ? 0 : 1);
        _tokenCounts.Add(tokens);
        _cuts.Add(truncated);
        if (_numbers.Count + _dimensions > NumbersPerGroup) WriteGroup().GetAwaiter().GetResult();
    }

    public override void Complete()
    {
        if (_texts.Count > 0) WriteGroup().GetAwaiter().GetResult();
        _writer.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private async Task WriteGroup()
    {
        var definitions = new int[_numbers.Count]; // nothing is null
        Array.Fill(definitions, _number.MaxDefinitionLevel);
        using (ParquetRowGroupWriter group = _writer.CreateRowGroup())
        {
            await group.WriteAsync(_text, _texts);
            await group.WriteAllPartsAsync<float>(_number, _numbers.ToArray(), definitions, _repetitions.ToArray(), CancellationToken.None);
            await group.WriteAsync<int>(_tokens, _tokenCounts.ToArray());
            await group.WriteAsync<bool>(_truncated, _cuts.ToArray());
            group.CompleteValidate();
        }
        _texts.Clear();
        _numbers.Clear();
        _repetitions.Clear();
        _tokenCounts.Clear();
        _cuts.Clear();
    }
}
