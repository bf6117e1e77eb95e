using System.CommandLine;
using Qkv.Text;

namespace Qkv.App.Tokens;

/// <summary>The options of cutting and padding, in Hugging Face's words and with their meaning.</summary>
internal sealed class TokenizeOptions
{
    private readonly Option<int?> _maxLength = Options.Number(
        "--max-length", 0, "Tokens at most, special ones included; with --padding max_length and without --truncation only the length to pad to.");

    private readonly Option<string?> _truncation = Options.Choice(
        "--truncation", ["longest_first", "only_first", "only_second"], "Which text of a pair is cut (default with --max-length: longest_first; default length: the model's).");

    private readonly Option<string?> _truncationSide = Options.Choice("--truncation-side", ["right", "left"], "The end that is cut (default: as the directory says, else right).");
    private readonly Option<int?> _stride = Options.Number("--stride", 0, "Tokens that an overflowing window shares with the one before.");
    private readonly Option<string?> _padding = Options.Choice("--padding", ["longest", "max_length"], "Pad to the longest input, or to --max-length (default: none).");
    private readonly Option<int?> _multiple = Options.Number("--pad-to-multiple-of", 0, "Round the padded length up to a multiple of this.");
    private readonly Option<string?> _padSide = Options.Choice("--pad-side", ["right", "left"], "Where padding goes (default: as the directory says, else right).");
    private readonly Option<bool> _bare = Options.Flag("--no-special-tokens", "Leave out [CLS] and [SEP].");

    public IEnumerable<Option> All => [_maxLength, _truncation, _truncationSide, _stride, _padding, _multiple, _padSide, _bare];

    /// <param name="result">What was given.</param>
    /// <param name="tokenizer">Whose defaults count where nothing was.</param>
    /// <param name="isPair">Whether there is a second text for all.</param>
    /// <param name="hasInput">Whether a file says what the texts are.</param>
    /// <exception cref="UsageException">The options cannot be met, or one lacks another.</exception>
    public EncodeOptions Read(ParseResult result, Tokenizer tokenizer, bool isPair, bool hasInput)
    {
        int? maxLength = result.GetValue(_maxLength);
        string? truncation = result.GetValue(_truncation), padding = result.GetValue(_padding);
        bool cuts = truncation is not null || (maxLength is not null && padding != "max_length");
        if (cuts && (maxLength ??= tokenizer.ModelMaxLength) is null)
            throw new UsageException("--truncation needs --max-length N, for this tokenizer does not say how many tokens its model takes.");
        if (!cuts && result.GetValue(_stride) > 0) throw new UsageException("--stride needs --max-length N or --truncation, for nothing is cut without them.");
        if (padding is null && result.GetValue(_multiple) > 0) throw new UsageException("--pad-to-multiple-of needs --padding longest or --padding max_length.");
        if (cuts && !result.GetValue(_bare) && tokenizer.Encode("", isPair ? "" : null).Ids.Length is var special && maxLength < special)
            throw new UsageException($"--max-length must leave room for the {special} special tokens, but is {maxLength}; or add --no-special-tokens.");
        if (truncation == "only_second" && !isPair && !hasInput) throw new UsageException("--truncation only_second cuts the second text of a pair; add --pair TEXT.");
        return new EncodeOptions
        {
            AddSpecialTokens = !result.GetValue(_bare),
            MaxLength = cuts ? maxLength : null,
            Truncation = truncation switch
            {
                "only_first" => TruncationStrategy.OnlyFirst,
                "only_second" => TruncationStrategy.OnlySecond,
                _ => TruncationStrategy.LongestFirst,
            },
            TruncationSide = SideOf(result.GetValue(_truncationSide)) ?? tokenizer.TruncationSide,
            Stride = result.GetValue(_stride) ?? 0,
            Padding = padding switch { "longest" => Padding.Longest, "max_length" => Padding.MaxLength, _ => Padding.None },
            PadTo = padding == "max_length" ? maxLength : null,
            PadToMultipleOf = result.GetValue(_multiple),
            PadSide = SideOf(result.GetValue(_padSide)) ?? tokenizer.PadSide,
        };
    }

    private static Side? SideOf(string? word) => word switch { "left" => Side.Left, "right" => Side.Right, _ => null };
}
