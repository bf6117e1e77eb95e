using System.Text.Json;
using Qkv.Text;

namespace Qkv.Parameters;

/// <summary>
/// What a Hugging Face config.json says about an encoder, checked: every size is positive and plausible, and whatever asks
/// for a computation that Qkv does not have has been refused.
/// </summary>
public sealed partial record EncoderConfig
{
    // Real ones have a few kilobytes; one with a hundred thousand labels still fits.
    private const int MaxFileSize = 16 << 20;

    // config.json is flat but for label maps and task parameters.
    private const int MaxDepth = 16;

    /// <summary>The family, as <c>model_type</c> names it.</summary>
    public required string ModelType { get; init; }

    /// <summary>The Hugging Face classes that the parameters were saved from, as <c>BertForMaskedLM</c>; may be empty.</summary>
    public required IReadOnlyList<string> Architectures { get; init; }

    /// <summary>V, the number of tokens in the vocabulary.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>C, the number of features of a token.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>The number of encoder layers.</summary>
    public required int Layers { get; init; }

    /// <summary>H, the number of attention heads of a layer; divides <see cref="HiddenSize"/>.</summary>
    public required int Heads { get; init; }

    /// <summary>D = C / H, the number of features of a head.</summary>
    public int HeadSize => HiddenSize / Heads;

    /// <summary>I, the number of features between the two maps of the feed-forward.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>The name of the feed-forward's activation, as in Hugging Face's ACT2FN.</summary>
    public required string Activation { get; init; }

    /// <summary>The number of positions, and so the longest sequence in tokens.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>The number of token types (segments).</summary>
    public required int TypeVocabularySize { get; init; }

    /// <summary>What LayerNorm adds to the variance.</summary>
    public required double LayerNormEpsilon { get; init; }

    /// <summary>The id of the padding token.</summary>
    public required int PadTokenId { get; init; }

    /// <summary>The names of the labels by their number, or null where the file names none.</summary>
    public required IReadOnlyList<string>? Labels { get; init; }

    /// <summary>The number of labels of a classifier: that of <see cref="Labels"/>, else <c>num_labels</c>, else 2.</summary>
    public required int NumLabels { get; init; }

    /// <summary>
    /// <c>regression</c>, <c>single_label_classification</c>, <c>multi_label_classification</c>, or null where it is not said.
    /// </summary>
    public required string? ProblemType { get; init; }

    /// <summary>How positions enter: <c>absolute</c>.</summary>
    public required string PositionEmbeddingType { get; init; }

    /// <summary>Whether the masked language model's decoder is the word embedding matrix.</summary>
    public required bool TieWordEmbeddings { get; init; }

    /// <summary>
    /// The type the parameters were trained or saved in, as PyTorch names it (<c>float16</c>), or null. It is only a
    /// remark: the types in the parameter file decide.
    /// </summary>
    public required string? TorchDtype { get; init; }

    /// <summary>What Hugging Face drops of hidden states in training, 0 … 1; its default is 0.1.</summary>
    internal double HiddenDropout { get; init; }

    /// <summary>What Hugging Face drops of attention weights in training, 0 … 1; its default is 0.1.</summary>
    internal double AttentionDropout { get; init; }

    /// <summary>What Hugging Face drops before a classifier in training, 0 … 1; null for as much as of hidden states.</summary>
    internal double? ClassifierDropout { get; init; }

    /// <summary>Reads <c>config.json</c> of a directory.</summary>
    /// <exception cref="FileNotFoundException">The directory has none.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or asks for something that is not supported.</exception>
    public static EncoderConfig Load(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        string path = Path.Combine(directory, "config.json");
        return File.Exists(path)
            ? Parse(TextFile.ReadBytes(path, MaxFileSize), path)
            : throw new FileNotFoundException($"{directory}: it has no config.json; a Hugging Face model directory was expected.", path);
    }

    /// <summary>Reads the bytes of a config.json.</summary>
    /// <param name="json">The text, UTF-8.</param>
    /// <param name="file">What messages call it.</param>
    /// <exception cref="InvalidDataException">The text is damaged, or asks for something that is not supported.</exception>
    public static EncoderConfig Parse(ReadOnlySpan<byte> json, string file)
    {
        try
        {
            Utf8JsonReader reader = new(TextFile.WithoutMark(json), new JsonReaderOptions { MaxDepth = MaxDepth });
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            if (document.RootElement.ValueKind != JsonValueKind.Object || reader.Read())
            {
                throw BadFile.Because(file, "it is not a JSON object.");
            }

            return Read(new ConfigFields(document.RootElement, file));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a text with an escaped half of a surrogate pair, or not UTF-8.
            throw BadFile.NotJson(file, "it is not valid JSON", e);
        }
    }

    /// <summary>The mapping from each family's field names to the record.</summary>
    private static EncoderConfig Read(ConfigFields fields) => fields.Text("model_type") switch
    {
        "bert" => ReadBert(fields),
        null => throw fields.Bad("model_type", "missing", "bert (add \"model_type\": \"bert\" where it is a BERT encoder)"),
        string other => throw fields.Bad("model_type", BadFile.Quote(other), "bert"),
    };
}
