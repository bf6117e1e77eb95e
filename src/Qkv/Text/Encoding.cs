using System.Collections.Immutable;

namespace Qkv.Text;

/// <summary>A half-open range of a text: <paramref name="Start"/> up to, not including, <paramref name="End"/>.</summary>
/// <param name="Start">First index.</param>
/// <param name="End">Index after the last.</param>
public readonly record struct TextRange(int Start, int End);

/// <summary>
/// A text, or a pair of texts, as tokens. All lists but <see cref="Overflowing"/> have one entry a token, L in all. Immutable.
/// Source of every field: huggingface/tokenizers, Encoding.
/// </summary>
public sealed class Encoding
{
    /// <summary>(L) ids of the vocabulary.</summary>
    public required ImmutableArray<int> Ids { get; init; }

    /// <summary>(L) tokens; an added token as it was written.</summary>
    public required ImmutableArray<string> Tokens { get; init; }

    /// <summary>(L) segment of each token, from the template: in BERT 0 for the first text, 1 for the second.</summary>
    public required ImmutableArray<int> TypeIds { get; init; }

    /// <summary>(L) 1 for tokens, 0 for padding.</summary>
    public required ImmutableArray<int> AttentionMask { get; init; }

    /// <summary>(L) 1 for tokens that the template or padding added, 0 for those of the texts.</summary>
    public required ImmutableArray<int> SpecialTokensMask { get; init; }

    /// <summary>(L) number of the word within its text, from 0; null for added tokens of the template and padding.</summary>
    public required ImmutableArray<int?> WordIds { get; init; }

    /// <summary>(L) 0 for the first text, 1 for the second; null for added tokens of the template and padding.</summary>
    public required ImmutableArray<int?> SequenceIds { get; init; }

    /// <summary>(L) where the token lies in its text, in UTF-16 units: <c>text[range.Start..range.End]</c>; (0, 0) where in none.</summary>
    public required ImmutableArray<TextRange> Offsets { get; init; }

    /// <summary>(L) the same in Unicode code points, a lone surrogate counting as one.</summary>
    public required ImmutableArray<TextRange> CodePointOffsets { get; init; }

    /// <summary>The windows that did not fit, when the text was cut.</summary>
    public required ImmutableArray<Encoding> Overflowing { get; init; }

    /// <summary>L, the number of tokens.</summary>
    public int Length => Ids.Length;
}
