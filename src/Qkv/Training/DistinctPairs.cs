using System.Text;

namespace Qkv.Training;

/// <summary>
/// Chooses pairs to measure on: in an order that a hash of their texts gives, each whose two texts were in none before it. What is chosen
/// depends on the texts alone, neither on the order of the file nor on a model, so that training can keep out what evaluation will
/// measure. Texts are the same where their letters and digits are, whatever the case and punctuation.
/// </summary>
internal static class DistinctPairs
{
    /// <summary>At most <paramref name="count"/> pairs; every anchor and every positive is there once.</summary>
    public static List<TextPair> Take(IReadOnlyList<TextPair> pairs, int count, ulong seed = 1)
    {
        var seen = new HashSet<ulong>();
        var taken = new List<TextPair>();
        foreach (var (pair, anchor, positive, _) in pairs.Select(pair => (Pair: pair, Anchor: KeyOf(pair.Anchor), Positive: KeyOf(pair.Positive)))
            .Select(pair => (pair.Pair, pair.Anchor, pair.Positive, Order: Hash.Mix(seed, pair.Anchor, pair.Positive)))
            .OrderBy(pair => pair.Order).ThenBy(pair => pair.Pair.Anchor, StringComparer.Ordinal).ThenBy(pair => pair.Pair.Positive, StringComparer.Ordinal))
        {
            if (taken.Count == count) break;
            if (seen.Contains(anchor) || seen.Contains(positive)) continue;
            seen.Add(anchor);
            seen.Add(positive);
            taken.Add(pair);
        }
        return taken;
    }

    /// <summary>The pairs that share no text with those kept out.</summary>
    public static List<TextPair> Without(IEnumerable<TextPair> pairs, IEnumerable<TextPair> keptOut)
    {
        HashSet<ulong> texts = [.. keptOut.SelectMany(pair => (ulong[])[KeyOf(pair.Anchor), KeyOf(pair.Positive)])];
        return [.. pairs.Where(pair => !texts.Contains(KeyOf(pair.Anchor)) && !texts.Contains(KeyOf(pair.Positive)))];
    }

    private static ulong KeyOf(string text)
    {
        ulong letters = Hash.Start, all = Hash.Start;
        bool any = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            all = Hash.Add(all, (uint)rune.Value);
            if (!Rune.IsLetterOrDigit(rune)) continue;
            letters = Hash.Add(letters, (uint)Rune.ToLowerInvariant(rune).Value);
            any = true;
        }
        return any ? letters : all;
    }
}

/// <summary>FNV-1a over whole numbers instead of bytes, to name texts: that two of a million share a name has a chance of 3 in 10⁸.</summary>
internal static class Hash
{
    public const ulong Start = 14695981039346656037;

    public static ulong Add(ulong hash, uint value) => (hash ^ value) * 1099511628211;

    public static ulong Of(ReadOnlySpan<int> values)
    {
        ulong hash = Start;
        foreach (int value in values) hash = Add(hash, (uint)value);
        return hash;
    }

    /// <summary>A number that looks random, of several.</summary>
    public static ulong Mix(ulong seed, ulong first, ulong second) => new RandomStream(new RandomStream(seed ^ first).Next() ^ second).Next();
}
