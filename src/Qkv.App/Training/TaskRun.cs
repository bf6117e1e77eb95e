using System.Globalization;
using Qkv.Parameters;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>Everything that <c>qkv train classify</c> or <c>qkv train ner</c> was told.</summary>
internal sealed record TaskRun
{
    public required TaskKind Kind { get; init; }

    /// <summary>What the label of a text is.</summary>
    public SequenceLossKind Labels { get; init; }

    public required LabelledInput Input { get; init; }

    public required LabelledInput? Validation { get; init; }

    public required string Output { get; init; }

    public required int? Length { get; init; }

    public required ExampleOptions Examples { get; init; }

    /// <summary>Sets dropout and frozen layers; returns what of them belongs into the fingerprint.</summary>
    public required Func<TrainableModel, string> Prepare { get; init; }

    public required TrainerOptions Options { get; init; }

    /// <summary>What must be the same for a run to go on with the same bits.</summary>
    public string Fingerprint(int rows, long tokens, int validationRows) => string.Create(CultureInfo.InvariantCulture,
        $"{Kind} {Labels} rows={rows} tokens={tokens} valid={validationRows} length={Length} batch={Examples.BatchTokens} smoothing={Examples.Smoothing} {Options.Fingerprint}");
}

/// <summary>A file of labelled rows, and which columns are meant.</summary>
internal sealed record LabelledInput(string Path, LabelledColumns Columns)
{
    public List<LabelledRow> Read() => LabelledFile.Read(Path, Columns);

    /// <summary>The most tokens of a text that the model of a directory reads.</summary>
    public static int LongestText(EncoderConfig config, Tokenizer tokenizer) => Math.Min(config.MaxPositions, tokenizer.ModelMaxLength ?? int.MaxValue);
}
