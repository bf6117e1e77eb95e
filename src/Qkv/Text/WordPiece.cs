using System.Runtime.CompilerServices;
using System.Text;

namespace Qkv.Text;

/// <summary>
/// Splits normalized text into words (at white space, and around every punctuation character) and every word into the longest
/// pieces of the vocabulary, from the left; a word that cannot be covered is one unknown token.
/// Source: huggingface/tokenizers, BertPreTokenizer and models/wordpiece; Wu et al. 2016, arXiv:1609.08144.
/// </summary>
internal sealed class WordPiece
{
    private enum Split : byte { None, WhiteSpace, Punctuation, Surrogate }

    private static readonly Split[] s_split = SplitTable();

    private readonly Vocabulary _vocabulary;
    private readonly Trie _trie = new();
    private readonly int[] _single = new int[char.MaxValue + 1];   // id of the one-character word, else the unknown token's
    private readonly int _unknown, _continuation, _longestWord;

    /// <summary>Builds the trie of the tokens that words are made of.</summary>
    /// <param name="vocabulary">All tokens.</param>
    /// <param name="isModelToken">False for tokens that were only added and are never found inside a word.</param>
    /// <param name="unknown">Id of the unknown token.</param>
    /// <param name="prefix">What a piece that continues a word starts with.</param>
    /// <param name="longestWord">Longer words, counted in code points, are unknown.</param>
    public WordPiece(Vocabulary vocabulary, Func<string, bool> isModelToken, int unknown, string prefix, int longestWord)
    {
        (_vocabulary, _unknown, _longestWord) = (vocabulary, unknown, longestWord);
        Array.Fill(_single, unknown);
        foreach ((string token, int id) in vocabulary.Entries)
        {
            if (isModelToken(token))
            {
                _trie.Add(token, id);
                if (token.Length == 1)
                {
                    _single[token[0]] = id;
                }
            }
        }
        // Pieces that continue a word are below the node of the prefix; 0 (no such node) never matches.
        _continuation = _trie.Find(prefix);
    }

    /// <summary>Appends the tokens of <paramref name="normalized"/>, a piece of <paramref name="original"/>'s normal form.</summary>
    public void Tokenize(ReadOnlySpan<char> normalized, ReadOnlySpan<int> sources, ReadOnlySpan<char> original, TokenBuffer tokens)
    {
        for (int end = 0; !tokens.IsFull && TryNextWord(normalized, ref end, out int start);)
        {
            Word(normalized[start..end], sources.IsEmpty ? [] : sources[start..end], original, tokens);
            tokens.EndWord(spelled: true);
        }
    }

    /// <summary>The next word of a normalized text from <paramref name="at"/> on, which becomes its end.</summary>
    internal static bool TryNextWord(ReadOnlySpan<char> normalized, ref int at, out int start)
    {
        for (start = at; at < normalized.Length; start = at)
        {
            Split split = SplitAt(normalized, ref at);
            if (split == Split.WhiteSpace)
            {
                continue;
            }
            while (split == Split.None && at < normalized.Length)
            {
                int next = at;
                if (SplitAt(normalized, ref next) != Split.None)
                {
                    break;
                }
                at = next;
            }
            return true;
        }
        return false;
    }

    private void Word(ReadOnlySpan<char> word, ReadOnlySpan<int> sources, ReadOnlySpan<char> original, TokenBuffer tokens)
    {
        int first = tokens.Count;
        if (word.Length == 1)
        {
            Add(_longestWord > 0 ? _single[word[0]] : _unknown, sources, original, tokens);
            return;
        }
        bool covered = word.Length <= _longestWord || CodePoints(word) <= _longestWord;
        for (int start = 0; covered && start < word.Length;)
        {
            int id = _trie.LongestMatch(start == 0 ? Trie.Root : _continuation, word[start..], out int length);
            if (id < 0)
            {
                covered = false;
                tokens.Rewind(first);
                break;
            }
            Add(id, sources.IsEmpty ? [] : sources.Slice(start, length), original, tokens);
            start += length;
        }
        if (!covered)
        {
            Add(_unknown, sources, original, tokens);
        }
    }

    private void Add(int id, ReadOnlySpan<int> sources, ReadOnlySpan<char> original, TokenBuffer tokens)
    {
        tokens.Add(id);
        if (tokens.Detailed)
        {
            tokens.Describe(_vocabulary.TokenOf(id), sources[0], EndOf(original, sources[^1]));
        }
    }

    /// <summary>The UTF-16 index after the code point that starts at <paramref name="start"/>.</summary>
    internal static int EndOf(ReadOnlySpan<char> text, int start) =>
        start + 1 < text.Length && char.IsSurrogatePair(text[start], text[start + 1]) ? start + 2 : start + 1;

    private static Split SplitAt(ReadOnlySpan<char> text, ref int at)
    {
        Split split = s_split[text[at++]];
        if (split != Split.Surrogate)
        {
            return split;
        }
        Rune.DecodeFromUtf16(text[(at - 1)..], out Rune rune, out int length);
        at += length - 1;
        return UnicodeData.IsPunctuation(rune.Value) ? Split.Punctuation : Split.None;
    }

    private static int CodePoints(ReadOnlySpan<char> word)
    {
        int count = 0;
        foreach (char c in word)
        {
            count += char.IsLowSurrogate(c) ? 0 : 1;
        }
        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Split[] SplitTable()
    {
        var table = new Split[char.MaxValue + 1];
        UnicodeData.MarkPunctuation(table, Split.Punctuation);
        for (int c = 0; c <= char.MaxValue; c++)
        {
            if (char.IsWhiteSpace((char)c))
            {
                table[c] = Split.WhiteSpace;
            }
        }
        table.AsSpan(0xD800..0xE000).Fill(Split.Surrogate);
        return table;
    }
}
