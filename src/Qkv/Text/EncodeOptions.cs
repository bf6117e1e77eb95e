namespace Qkv.Text;

/// <summary>Which sequence of a pair gives way when both are too long together.</summary>
public enum TruncationStrategy
{
    /// <summary>
    /// The longer one; when both must shrink, each gets half, and an odd token goes to the longer (the second when equal).
    /// </summary>
    LongestFirst,

    /// <summary>The first only.</summary>
    OnlyFirst,

    /// <summary>The second only.</summary>
    OnlySecond,
}

/// <summary>An end of a sequence.</summary>
public enum Side
{
    /// <summary>The end.</summary>
    Right,

    /// <summary>The start.</summary>
    Left,
}

/// <summary>How far a sequence is filled up with padding tokens.</summary>
public enum Padding
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>To the longest of the batch.</summary>
    Longest,

    /// <summary>To <see cref="EncodeOptions.PadTo"/>, else <see cref="EncodeOptions.MaxLength"/>, else the model's longest input.</summary>
    MaxLength,
}

/// <summary>
/// How texts become tokens; <c>default</c> adds special tokens and neither cuts nor pads.
/// </summary>
public readonly record struct EncodeOptions
{
    private readonly bool _bare;

    /// <summary>Put the template's special tokens ([CLS], [SEP]) around the sequences. Default: true.</summary>
    public bool AddSpecialTokens { get => !_bare; init => _bare = !value; }

    /// <summary>Tokens at most, special ones included; null never cuts.</summary>
    public int? MaxLength { get; init; }

    /// <summary>Which sequence of a pair is cut.</summary>
    public TruncationStrategy Truncation { get; init; }

    /// <summary>Where a sequence is cut: <see cref="Side.Right"/> keeps its beginning.</summary>
    public Side TruncationSide { get; init; }

    /// <summary>Tokens that an overflowing window shares with the one before.</summary>
    public int Stride { get; init; }

    /// <summary>
    /// Whether overflowing windows reach to the end of a long text. False does what tokenizers 0.23 does: a sequence is read only
    /// until it has <see cref="MaxLength"/> tokens (to the end of that word), and what follows is in no window.
    /// </summary>
    public bool WholeText { get; init; }

    /// <summary>Whether and how far to pad.</summary>
    public Padding Padding { get; init; }

    /// <summary>Length to pad to with <see cref="Padding.MaxLength"/>, where it is not <see cref="MaxLength"/>.</summary>
    public int? PadTo { get; init; }

    /// <summary>Round the padded length up to a multiple of this, even past <see cref="MaxLength"/>; null and 0 do not.</summary>
    public int? PadToMultipleOf { get; init; }

    /// <summary>Where padding goes.</summary>
    public Side PadSide { get; init; }

    /// <summary>Refuses negative numbers, and what is none of the names.</summary>
    internal void Validate()
    {
        if ((uint)Truncation > (uint)TruncationStrategy.OnlySecond) NotNamed(nameof(Truncation), (int)Truncation);
        if ((uint)TruncationSide > (uint)Side.Left) NotNamed(nameof(TruncationSide), (int)TruncationSide);
        if ((uint)Padding > (uint)Padding.MaxLength) NotNamed(nameof(Padding), (int)Padding);
        if ((uint)PadSide > (uint)Side.Left) NotNamed(nameof(PadSide), (int)PadSide);
        NotNegative(MaxLength, nameof(MaxLength));
        NotNegative(Stride, nameof(Stride));
        NotNegative(PadTo, nameof(PadTo));
        NotNegative(PadToMultipleOf, nameof(PadToMultipleOf));
    }

    private static void NotNamed(string name, int value) => throw new ArgumentException($"Encode: there is no {name} {value}.");

    private static void NotNegative(int? value, string name)
    {
        if (value < 0)
        {
            throw new ArgumentException($"Encode: expected {name} of 0 or more, got {value}.");
        }
    }
}
