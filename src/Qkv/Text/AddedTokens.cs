using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Qkv.Text;

/// <summary>
/// A token that is found in the text itself, before words are made. Source: huggingface/tokenizers, AddedToken.
/// </summary>
/// <param name="Content">The text.</param>
/// <param name="Id">Its id.</param>
/// <param name="Special">Left out by <see cref="Tokenizer.Decode"/>.</param>
/// <param name="SingleWord">Only where no word character touches it.</param>
/// <param name="LeftStrip">Takes the white space before it.</param>
/// <param name="RightStrip">Takes the white space after it.</param>
/// <param name="Normalized">Looked for, normalized, in the normalized text instead of the text as given.</param>
internal sealed record AddedToken(
    string Content, int Id, bool Special = false, bool SingleWord = false, bool LeftStrip = false, bool RightStrip = false,
    bool Normalized = false)
{
    /// <summary>A token of a file: a string, or an object with its content and how to look for it.</summary>
    public static AddedToken Read(JsonField token, int id, bool special) => token.Element.ValueKind switch
    {
        JsonValueKind.String => new(token.String(), id, special),
        JsonValueKind.Object => new(
            token["content"].String(), id, special, token["single_word"].Boolean(false), token["lstrip"].Boolean(false), token["rstrip"].Boolean(false),
            token["normalized"].Boolean(!special)),
        _ => throw token.Wrong("a string or an object"),
    };
}

/// <summary>Where an added token was found: [Start, End) of the searched text.</summary>
internal readonly record struct AddedMatch(int Id, int Start, int End);

/// <summary>
/// Finds added tokens, leftmost first and of those the longest. Source: huggingface/tokenizers, added_vocabulary.rs.
/// </summary>
internal sealed class AddedTokens
{
    private readonly AddedToken[] _tokens;
    private readonly Trie _trie = new();
    private readonly SearchValues<char> _firsts;

    /// <summary>Tokens to look for as <paramref name="form"/> writes them.</summary>
    public AddedTokens(IEnumerable<AddedToken> tokens, Func<string, string> form)
    {
        _tokens = [.. tokens];
        var firsts = new HashSet<char>();
        for (int i = 0; i < _tokens.Length; i++)
        {
            string pattern = form(_tokens[i].Content);
            if (pattern.Length > 0)
            {
                _trie.Add(pattern, i);
                firsts.Add(pattern[0]);
            }
        }
        _firsts = SearchValues.Create([.. firsts]);
    }

    /// <summary>
    /// The next added token. <paramref name="search"/> is where to look from, and is moved; <paramref name="taken"/> is the end of
    /// the match before, which stripping does not reach into.
    /// </summary>
    public bool TryNext(ReadOnlySpan<char> text, ref int search, int taken, out AddedMatch match)
    {
        while (search < text.Length)
        {
            int step = text[search..].IndexOfAny(_firsts);
            if (step < 0)
            {
                break;
            }
            int start = search + step;
            int index = _trie.LongestMatch(Trie.Root, text[start..], out int length);
            if (index < 0)
            {
                search = start + 1;
                continue;
            }
            int end = search = start + length;
            AddedToken token = _tokens[index];
            if (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..])))
            {
                continue;
            }
            if (token.LeftStrip)
            {
                while (start > taken && char.IsWhiteSpace(text[start - 1]))
                {
                    start--;
                }
                // White space of its own may have been taken as well: then it begins later, or is all gone.
                start = Math.Max(start, taken);
                if (start >= end)
                {
                    continue;
                }
            }
            while (token.RightStrip && end < text.Length && char.IsWhiteSpace(text[end]))
            {
                end++;
            }
            match = new(token.Id, start, end);
            return true;
        }
        match = default;
        return false;
    }

    private static bool StartsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out Rune rune, out _) == OperationStatus.Done && IsWord(rune);

    private static bool EndsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out Rune rune, out _) == OperationStatus.Done && IsWord(rune);

    /// <summary>The class \w of Rust's regular expressions: alphabetic, marks, decimal digits, connectors, joiners.</summary>
    private static bool IsWord(Rune rune) => rune.Value is 0x200C or 0x200D or (>= 0x24B6 and <= 0x24E9)
        or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189)
        || Rune.GetUnicodeCategory(rune) is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter
            or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter
            or UnicodeCategory.LetterNumber or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark
            or UnicodeCategory.EnclosingMark or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.ConnectorPunctuation;
}
