using System.Globalization;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>Everything that <c>qkv train embed</c> was told.</summary>
internal sealed record EmbedRun
{
    public required IReadOnlyList<string> Inputs { get; init; }

    public required (string Anchor, string Positive)? Columns { get; init; }

    public required string? Validation { get; init; }

    public required int HoldOut { get; init; }

    public required IReadOnlyList<string> Texts { get; init; }

    public required string? MaskedLanguage { get; init; }

    public required MaskedLanguageOptions Windows { get; init; }

    public required string Output { get; init; }

    public required int Length { get; init; }

    public required ContrastiveOptions Contrastive { get; init; }

    /// <summary>Sets dropout and frozen layers; returns what of them belongs into the fingerprint.</summary>
    public required Func<TrainableModel, string> Prepare { get; init; }

    public required TrainerOptions Options { get; init; }

    /// <summary>What must be the same for a run to go on with the same bits.</summary>
    public string Fingerprint(int pairs, int sentences, int windowTokens, int validationPairs) => string.Create(CultureInfo.InvariantCulture,
        $"embed pairs={pairs} valid={validationPairs} sentences={sentences}:{Contrastive.TextShare} length={Length} batch={Contrastive.Pairs}:{Contrastive.Tokens} pooling={Contrastive.Pooling} loss={Contrastive.Loss.Temperature}:{Contrastive.Loss.Symmetric} mlm={windowTokens}:{string.Join('+', Windows.Lengths)}:{Windows.BatchTokens}:{Windows.MaskRate}:{Windows.Weight} {Options.Fingerprint}");
}
