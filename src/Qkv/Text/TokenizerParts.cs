namespace Qkv.Text;

/// <summary>What padding is made of.</summary>
internal readonly record struct PadToken(int Id, string Token, int TypeId);

/// <summary>Everything the files of a tokenizer say, checked.</summary>
internal sealed record TokenizerParts
{
    public required Vocabulary Vocabulary { get; init; }

    /// <summary>False for tokens that were only added.</summary>
    public required Func<string, bool> IsModelToken { get; init; }

    public required NormalizerOptions Normalizer { get; init; }

    public required Template Template { get; init; }

    public required IReadOnlyList<AddedToken> Added { get; init; }

    public required WordPieceDecoder Decoder { get; init; }

    public required PadToken Pad { get; init; }

    public string UnknownToken { get; init; } = "[UNK]";

    public string MaskToken { get; init; } = "[MASK]";

    public string ContinuationPrefix { get; init; } = "##";

    public int LongestWord { get; init; } = 100;

    public TokenizerDefaults Defaults { get; init; }

    public EncodeOptions StoredOptions { get; init; }
}

/// <summary>What the files say of cutting and padding; null where they say nothing. What <c>tokenizer_config.json</c> leaves out counts as <c>tokenizer.json</c> has it.</summary>
/// <param name="MaxLength"><c>model_max_length</c>, or null where it is larger than any sequence (transformers writes 1e30).</param>
/// <param name="TruncationSide"><c>truncation_side</c></param>
/// <param name="PadSide"><c>padding_side</c></param>
internal readonly record struct TokenizerDefaults(int? MaxLength, Side? TruncationSide, Side? PadSide);
