using System.Globalization;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>Everything that <c>qkv train mlm</c> was told.</summary>
internal sealed record MaskedLanguageRun
{
    public required string Input { get; init; }

    public required string? Validation { get; init; }

    public required string Output { get; init; }

    public required string? Vocabulary { get; init; }

    public required bool LowerCase { get; init; }

    public required ModelShape Shape { get; init; }

    public required MaskedLanguageOptions Windows { get; init; }

    /// <summary>Sets dropout and frozen layers; returns what of them belongs into the fingerprint.</summary>
    public required Func<TrainableModel, string> Prepare { get; init; }

    public required TrainerOptions Options { get; init; }

    /// <summary>What must be the same for a run to go on with the same bits.</summary>
    public string Fingerprint(int tokens, int validationTokens) => string.Create(CultureInfo.InvariantCulture,
        $"mlm tokens={tokens} length={Windows.Length} curriculum={string.Join(',', Windows.Curriculum.Select(phase => string.Create(CultureInfo.InvariantCulture, $"{phase.Length}:{phase.Until}")))} batch={Windows.BatchTokens} mask={Windows.MaskRate} valid={validationTokens} {Options.Fingerprint}");
}
