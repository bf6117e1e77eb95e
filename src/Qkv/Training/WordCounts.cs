using System.Runtime.InteropServices;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>How often each word of a text occurs; words as the tokenizer cuts them, normalized.</summary>
internal sealed class WordCounts(NormalizerOptions options)
{
    // The tokenizer takes longer ones for unknown.
    private const int LongestWord = 100;

    private readonly BertNormalizer _normalizer = BertNormalizer.For(options);
    private readonly NormalizedText _normalized = new();
    private readonly Dictionary<string, long> _counts = new(StringComparer.Ordinal);
    private long _rare;

    /// <summary>
    /// Words that are kept; when there are more, the rarest are forgotten, so memory is bounded however long the text is. Enough for a
    /// language's words: a gigabyte of English text has fewer.
    /// </summary>
    public int MostWords { get; init; } = 2_000_000;

    public IReadOnlyDictionary<string, long> Counts => _counts;

    public void Add(ReadOnlySpan<char> text)
    {
        _normalized.Clear();
        _normalizer.Normalize(text, 0, _normalized);
        ReadOnlySpan<char> characters = _normalized.Characters;
        var counts = _counts.GetAlternateLookup<ReadOnlySpan<char>>();
        for (int end = 0; WordPiece.TryNextWord(characters, ref end, out int start);)
            if (end - start <= LongestWord) CollectionsMarshal.GetValueRefOrAddDefault(counts, characters[start..end], out _)++;
        while (_counts.Count > MostWords) Forget(++_rare);
    }

    private void Forget(long count)
    {
        foreach ((string word, long times) in _counts)
            if (times <= count) _counts.Remove(word);
    }
}
