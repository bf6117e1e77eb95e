namespace Qkv.Parameters;

/// <summary>The name table of a family: every parameter with its shape and the names that checkpoints store it under.</summary>
public sealed class ParameterNames
{
    private readonly string _prefix;
    private readonly HashSet<string> _buffers;

    private ParameterNames(string prefix, HashSet<string> buffers, List<LogicalParameter> encoder, List<LogicalParameter> heads)
    {
        _prefix = prefix;
        _buffers = buffers;
        Encoder = encoder;
        Heads = heads;
    }

    /// <summary>The logical names that every checkpoint of the family must have.</summary>
    public IEnumerable<string> EncoderNames => Encoder.Select(parameter => parameter.Name);

    /// <summary>The logical names that a checkpoint may have: the pooler and the task heads.</summary>
    public IEnumerable<string> HeadNames => Heads.Select(parameter => parameter.Name);

    internal IReadOnlyList<LogicalParameter> Encoder { get; }

    internal IReadOnlyList<LogicalParameter> Heads { get; }

    /// <summary>The table of the configured family.</summary>
    public static ParameterNames For(EncoderConfig config) => config.ModelType switch
    {
        "bert" => ForBert(config),
        _ => throw new ArgumentException(
            $"There is no name table for model_type '{config.ModelType}'; supported: bert.",
            nameof(config)),
    };

    /// <summary>
    /// The table of BERT. Names may have the prefix <c>bert.</c> (task models) or not (the bare encoder), and LayerNorm's
    /// parameters may be called gamma and beta, as in checkpoints converted from TensorFlow.
    /// </summary>
    public static ParameterNames ForBert(EncoderConfig config)
    {
        Table encoder = new("bert.");
        long hidden = config.HiddenSize;
        encoder.Add("embeddings.word_embeddings.weight", config.VocabularySize, hidden);
        encoder.Add("embeddings.position_embeddings.weight", config.MaxPositions, hidden);
        encoder.Add("embeddings.token_type_embeddings.weight", config.TypeVocabularySize, hidden);
        encoder.AddLayerNorm("embeddings.LayerNorm", hidden);
        for (int i = 0; i < config.Layers; i++)
        {
            string layer = $"encoder.layer.{i}.";
            encoder.AddLinear(layer + "attention.self.query", hidden, hidden);
            encoder.AddLinear(layer + "attention.self.key", hidden, hidden);
            encoder.AddLinear(layer + "attention.self.value", hidden, hidden);
            encoder.AddLinear(layer + "attention.output.dense", hidden, hidden);
            encoder.AddLayerNorm(layer + "attention.output.LayerNorm", hidden);
            encoder.AddLinear(layer + "intermediate.dense", config.IntermediateSize, hidden);
            encoder.AddLinear(layer + "output.dense", hidden, config.IntermediateSize);
            encoder.AddLayerNorm(layer + "output.LayerNorm", hidden);
        }

        Table pooler = new("bert.");
        pooler.AddLinear("pooler.dense", hidden, hidden);

        Table heads = new(prefix: null);
        heads.AddLinear("cls.predictions.transform.dense", hidden, hidden);
        heads.AddLayerNorm("cls.predictions.transform.LayerNorm", hidden);
        IReadOnlyList<string> words = config.TieWordEmbeddings ? encoder.StoredNames("embeddings.word_embeddings.weight") : [];
        heads.AddTied("cls.predictions.decoder.weight", words, config.VocabularySize, hidden);
        heads.AddTied("cls.predictions.bias", ["cls.predictions.decoder.bias"], config.VocabularySize);
        heads.AddLinear("cls.seq_relationship", 2, hidden);
        heads.AddLinear("classifier", config.Architectures.Contains("BertForMultipleChoice") ? 1 : config.NumLabels, hidden);
        heads.AddLinear("qa_outputs", 2, hidden);

        HashSet<string> buffers = ["embeddings.position_ids", "embeddings.token_type_ids"];
        return new ParameterNames("bert.", buffers, encoder.Rows, [.. pooler.Rows, .. heads.Rows]);
    }

    /// <summary>Whether a stored tensor belongs to the encoder, so that one the table does not know would change its output.</summary>
    internal bool IsInsideEncoder(string stored)
    {
        string name = stored.StartsWith(_prefix, StringComparison.Ordinal) ? stored[_prefix.Length..] : stored;
        bool inside = name.StartsWith("embeddings.", StringComparison.Ordinal) || name.StartsWith("encoder.", StringComparison.Ordinal);
        return inside && !_buffers.Contains(name);
    }

    /// <summary>Rows of the table that share a prefix, which may be absent in a file.</summary>
    private sealed class Table(string? prefix)
    {
        public List<LogicalParameter> Rows { get; } = [];

        public IReadOnlyList<string> StoredNames(params ReadOnlySpan<string> names)
        {
            List<string> stored = [];
            foreach (string name in names)
            {
                stored.Add(name);
                if (prefix is not null)
                {
                    stored.Add(prefix + name);
                }
            }

            return stored;
        }

        public void Add(string name, params long[] shape) => Rows.Add(new(name, shape, StoredNames(name), []));

        public void AddTied(string name, IReadOnlyList<string> tiedTo, params long[] shape) =>
            Rows.Add(new(name, shape, StoredNames(name), tiedTo));

        public void AddLinear(string name, long outputs, long inputs)
        {
            Add(name + ".weight", outputs, inputs);
            Add(name + ".bias", outputs);
        }

        public void AddLayerNorm(string name, long size)
        {
            Rows.Add(new(name + ".weight", [size], StoredNames(name + ".weight", name + ".gamma"), []));
            Rows.Add(new(name + ".bias", [size], StoredNames(name + ".bias", name + ".beta"), []));
        }
    }
}
