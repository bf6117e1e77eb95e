namespace Qkv.Text;

/// <summary>The tokens of one text, before templates, cuts and padding.</summary>
internal sealed class SequenceTokens
{
    /// <summary>
    /// Copies what <paramref name="tokens"/> holds. With a <paramref name="leftLimit"/> only the last words stay that are needed to
    /// reach that many tokens, and words are counted from the first of them: what tokenizers does when it cuts on the left.
    /// </summary>
    public SequenceTokens(string text, TokenBuffer tokens, int leftLimit)
    {
        int start = leftLimit == int.MaxValue ? 0 : LeftStart(tokens, leftLimit);
        Ids = tokens.Ids[start..].ToArray();
        Words = tokens.Words[start..].ToArray();
        Tokens = [.. tokens.Tokens.Skip(start)];
        Offsets = new TextRange[Ids.Length];
        for (int i = 0; i < Ids.Length; i++)
        {
            Words[i] -= tokens.Words[start];
            Offsets[i] = new(tokens.Starts[start + i], tokens.Ends[start + i]);
        }
        CodePointOffsets = InCodePoints(text, Offsets);
    }

    public int Length => Ids.Length;

    public int[] Ids { get; }

    public int[] Words { get; }

    public string[] Tokens { get; }

    public TextRange[] Offsets { get; }

    public TextRange[] CodePointOffsets { get; }

    /// <summary>The first token of the word that, from the right, brings the limit; only a spelled word can.</summary>
    private static int LeftStart(TokenBuffer tokens, int limit)
    {
        for (int i = tokens.Count - 1; i > 0; i--)
        {
            bool begins = tokens.Words[i] != tokens.Words[i - 1];
            if (begins && tokens.Spelled[tokens.Words[i]] && tokens.Count - i >= limit)
            {
                return i;
            }
        }
        return 0;
    }

    private static TextRange[] InCodePoints(string text, TextRange[] offsets)
    {
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDBFF') < 0)
        {
            return offsets;
        }
        // One entry more than units, as a range may end behind the last.
        int[] codePoints = new int[text.Length + 1];
        for (int i = 1; i <= text.Length; i++)
        {
            bool second = i > 1 && char.IsSurrogatePair(text[i - 2], text[i - 1]);
            codePoints[i] = codePoints[i - 1] + (second ? 0 : 1);
        }
        return Array.ConvertAll(offsets, range => new TextRange(codePoints[range.Start], codePoints[range.End]));
    }
}
