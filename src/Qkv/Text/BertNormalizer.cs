using System.Text;

namespace Qkv.Text;

/// <summary>
/// BERT's text normalizer as a table: for nearly every character of the basic plane what comes out does not depend on its
/// neighbours, so <see cref="NormalizerStages"/> is asked once per character, when it first comes, and the answer kept. Shared; every thread that
/// asks writes the same answer.
/// </summary>
internal sealed class BertNormalizer
{
    // A table entry: the kind in the high half, in the low half the one resulting character.
    private const uint
        Unasked = 0 << 16, Keep = 1 << 16, Drop = 2 << 16, Isolate = 3 << 16, Expand = 4 << 16, Surrogate = 5 << 16, Context = 6 << 16;

    // The longest result of one character: four decomposed code points, or a Chinese one beyond the basic plane in spaces.
    private const int LongestExpansion = 8;

    private static readonly Lock s_gate = new();
    private static readonly List<BertNormalizer> s_shared = []; // one for each of the few ways to set the switches

    private readonly uint[] _table = new uint[char.MaxValue + 1];
    private readonly string[] _expansions = new string[char.MaxValue + 1]; // of the characters that expand

    private BertNormalizer(NormalizerOptions options) => Options = options;

    /// <summary>The switches this normalizer was built for.</summary>
    public NormalizerOptions Options { get; }

    /// <summary>The normalizer for these switches, one for all who ask.</summary>
    public static BertNormalizer For(NormalizerOptions options)
    {
        options = options with { StripAccents = options.StripsAccents };
        lock (s_gate)
        {
            BertNormalizer? normalizer = s_shared.Find(known => known.Options == options);
            if (normalizer is null)
            {
                s_shared.Add(normalizer = new BertNormalizer(options));
            }
            return normalizer;
        }
    }

    /// <summary>
    /// Appends the normal form of <paramref name="text"/>, a piece that starts at <paramref name="origin"/> of the original.
    /// </summary>
    public void Normalize(ReadOnlySpan<char> text, int origin, NormalizedText result)
    {
        bool aligned = result.Aligned;
        int begin = result.Length;
        int n = result.Reserve(3 * Math.Min(text.Length, 1 << 20) + LongestExpansion, out char[] to, out int[] sources);
        for (int i = 0; i < text.Length; i++)
        {
            if (n + LongestExpansion > to.Length)
            {
                result.Advance(n);
                n = result.Reserve(to.Length, out to, out sources);
            }
            uint entry = _table[text[i]];
            if (entry == Unasked)
            {
                entry = Ask(text[i]);
            }
            int first = n, source = origin + i;
            switch (entry >> 16)
            {
                case Keep >> 16:
                    to[n] = (char)entry;
                    if (aligned)
                    {
                        sources[n] = source;
                    }
                    n++;
                    continue;
                case Isolate >> 16:
                    to[n] = ' ';
                    to[n + 1] = (char)entry;
                    to[n + 2] = ' ';
                    n += 3;
                    break;
                case Drop >> 16:
                    continue;
                case Expand >> 16:
                    string expansion = _expansions[text[i]];
                    expansion.CopyTo(to.AsSpan(n));
                    n += expansion.Length;
                    break;
                default:
                    int used = entry == Surrogate ? NormalizePair(text[i..], to.AsSpan(n), ref n) : 0;
                    if (used == 0)
                    {
                        result.Advance(begin);
                        Append(NormalizerStages.Run(text, Options), origin, result);
                        return;
                    }
                    i += used - 1;
                    break;
            }
            if (aligned)
            {
                sources.AsSpan(first..n).Fill(source);
            }
        }
        result.Advance(n);
    }

    /// <summary>A code point beyond the basic plane, or a lone surrogate. Returns the units used; 0: neighbours matter.</summary>
    private int NormalizePair(ReadOnlySpan<char> text, Span<char> to, ref int n)
    {
        Rune.DecodeFromUtf16(text, out _, out int length);
        List<AlignedCode> codes = NormalizerStages.Run(text[..length], Options);
        foreach (AlignedCode c in codes)
        {
            if (NeedsContext(c.Code))
            {
                return 0;
            }
        }
        foreach (AlignedCode c in codes)
        {
            int written = new Rune(c.Code).EncodeToUtf16(to);
            to = to[written..];
            n += written;
        }
        return length;
    }

    private static void Append(List<AlignedCode> codes, int origin, NormalizedText result)
    {
        int n = result.Reserve(2 * codes.Count, out char[] to, out int[] sources);
        foreach (AlignedCode c in codes)
        {
            int written = new Rune(c.Code).EncodeToUtf16(to.AsSpan(n));
            if (result.Aligned)
            {
                sources.AsSpan(n, written).Fill(origin + c.Source);
            }
            n += written;
        }
        result.Advance(n);
    }

    private uint Ask(char c)
    {
        uint entry = char.IsSurrogate(c) ? Surrogate : Classify(c, NormalizerStages.Run([c], Options));
        // After the expansion, which whoever sees the entry will read.
        Volatile.Write(ref _table[c], entry);
        return entry;
    }

    private uint Classify(char character, List<AlignedCode> codes)
    {
        foreach (AlignedCode c in codes)
        {
            if (NeedsContext(c.Code))
            {
                return Context;
            }
        }
        switch (codes)
        {
            case []: return Drop;
            case [var c] when c.Code <= char.MaxValue: return Keep | (uint)c.Code;
            case [{ Code: ' ' }, var c, { Code: ' ' }] when c.Code <= char.MaxValue: return Isolate | (uint)c.Code;
        }
        var text = new StringBuilder();
        foreach (AlignedCode c in codes)
        {
            text.Append(new Rune(c.Code).ToString());
        }
        _expansions[character] = text.ToString();
        return Expand;
    }

    /// <summary>A mark that survives may be sorted among its neighbours; only decomposition sorts.</summary>
    private bool NeedsContext(int code) => Options.StripsAccents && UnicodeData.CombiningClass(code) != 0;
}
