using System.Text;

namespace Qkv.Text;

/// <summary>
/// BERT's text normalizer as a table: for nearly every character of the basic plane what comes out does not depend on its
/// neighbours, so <see cref="NormalizerStages"/> is asked once per character and the answer kept. Immutable and shared.
/// </summary>
internal sealed class BertNormalizer
{
    // A table entry: the kind in the high half, in the low half the one resulting character or the index of an expansion.
    private const uint
        Keep = 0 << 16, Drop = 1 << 16, Isolate = 2 << 16, Expand = 3 << 16, Surrogate = 4 << 16, Context = 5 << 16;

    // The longest result of one character: four decomposed code points, or a Chinese one beyond the basic plane in spaces.
    private const int LongestExpansion = 8;

    private static readonly Lock s_gate = new();
    private static readonly Dictionary<NormalizerOptions, BertNormalizer> s_shared = [];

    private readonly uint[] _table = new uint[char.MaxValue + 1];
    private readonly List<string> _expansions = [];

    private BertNormalizer(NormalizerOptions options)
    {
        Options = options;
        Span<char> one = stackalloc char[1];
        for (int c = 0; c <= char.MaxValue; c++)
        {
            one[0] = (char)c;
            _table[c] = char.IsSurrogate((char)c) ? Surrogate : Classify(NormalizerStages.Run(one, options));
        }
    }

    /// <summary>The switches this normalizer was built for.</summary>
    public NormalizerOptions Options { get; }

    /// <summary>The normalizer for these switches; built once, as the table takes some milliseconds.</summary>
    public static BertNormalizer For(NormalizerOptions options)
    {
        options = options with { StripAccents = options.StripsAccents };
        lock (s_gate)
        {
            if (!s_shared.TryGetValue(options, out BertNormalizer? normalizer))
            {
                s_shared[options] = normalizer = new BertNormalizer(options);
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
                    string expansion = _expansions[(int)(entry & 0xFFFF)];
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

    private uint Classify(List<AlignedCode> codes)
    {
        foreach (AlignedCode c in codes)
        {
            if (NeedsContext(c.Code))
            {
                return Context;
            }
        }
        return codes switch
        {
            [] => Drop,
            [var c] when c.Code <= char.MaxValue => Keep | (uint)c.Code,
            [{ Code: ' ' }, var c, { Code: ' ' }] when c.Code <= char.MaxValue => Isolate | (uint)c.Code,
            _ => Expand | (uint)Remember(codes),
        };
    }

    /// <summary>A mark that survives may be sorted among its neighbours; only decomposition sorts.</summary>
    private bool NeedsContext(int code) => Options.StripsAccents && UnicodeData.CombiningClass(code) != 0;

    private int Remember(List<AlignedCode> codes)
    {
        var text = new StringBuilder();
        foreach (AlignedCode c in codes)
        {
            text.Append(new Rune(c.Code).ToString());
        }
        _expansions.Add(text.ToString());
        return _expansions.Count - 1;
    }
}
