using System.Text;

namespace Qkv.Text;

/// <summary>A code point of the normalized text and the UTF-16 index in the original of the code point it stands for.</summary>
internal readonly record struct AlignedCode(int Code, int Source);

/// <summary>
/// BertNormalizer written as its stages, one after the other over the whole text: the specification. Text normally takes the
/// table of <see cref="BertNormalizer"/>, which this class fills; only text whose combining marks survive and may have to be
/// reordered, so that one character's result depends on its neighbours, is normalized here.
/// Source: huggingface/tokenizers, normalizers/bert.rs and NormalizedString.
/// </summary>
internal static class NormalizerStages
{
    /// <summary>Normalizes <paramref name="text"/>; lone surrogates are read as U+FFFD.</summary>
    public static List<AlignedCode> Run(ReadOnlySpan<char> text, in NormalizerOptions options)
    {
        List<AlignedCode> codes = Decode(text);
        if (options.CleanText)
        {
            codes = Clean(codes);
        }
        if (options.HandleChineseCharacters)
        {
            codes = IsolateChinese(codes);
        }
        if (options.StripsAccents)
        {
            codes = Decompose(codes);
            codes.RemoveAll(c => UnicodeData.IsNonspacingMark(c.Code));
        }
        return options.Lowercase ? ToLower(codes) : codes;
    }

    private static List<AlignedCode> Decode(ReadOnlySpan<char> text)
    {
        var codes = new List<AlignedCode>(text.Length);
        for (int i = 0; i < text.Length;)
        {
            Rune.DecodeFromUtf16(text[i..], out Rune rune, out int length);
            codes.Add(new(rune.Value, i));
            i += length;
        }
        return codes;
    }

    private static List<AlignedCode> Clean(List<AlignedCode> codes)
    {
        var clean = new List<AlignedCode>(codes.Count);
        foreach (AlignedCode c in codes)
        {
            if (!UnicodeData.IsDropped(c.Code))
            {
                clean.Add(UnicodeData.IsWhiteSpace(c.Code) ? c with { Code = ' ' } : c);
            }
        }
        return clean;
    }

    private static List<AlignedCode> IsolateChinese(List<AlignedCode> codes)
    {
        var isolated = new List<AlignedCode>(codes.Count);
        foreach (AlignedCode c in codes)
        {
            if (UnicodeData.IsChinese(c.Code))
            {
                isolated.AddRange([c with { Code = ' ' }, c, c with { Code = ' ' }]);
            }
            else
            {
                isolated.Add(c);
            }
        }
        return isolated;
    }

    /// <summary>
    /// NFD. Sources are dealt out by position after reordering, as in Rust: the first part of a decomposition takes the next
    /// original character, further parts share the one before, whichever mark the sort has put there.
    /// </summary>
    private static List<AlignedCode> Decompose(List<AlignedCode> codes)
    {
        var parts = new List<(int Code, int Class, bool First)>(codes.Count);
        Span<int> buffer = stackalloc int[4];
        int run = 0;
        foreach (AlignedCode c in codes)
        {
            int count = UnicodeData.Decompose(c.Code, buffer);
            for (int k = 0; k < count; k++)
            {
                int combining = UnicodeData.CombiningClass(buffer[k]);
                if (combining == 0)
                {
                    Reorder(parts, run);
                    run = parts.Count + 1;
                }
                parts.Add((buffer[k], combining, k == 0));
            }
        }
        Reorder(parts, run);

        var decomposed = new List<AlignedCode>(parts.Count);
        int taken = 0;
        foreach ((int code, _, bool first) in parts)
        {
            taken += first ? 1 : 0;
            decomposed.Add(new(code, codes[Math.Max(taken - 1, 0)].Source));
        }
        return decomposed;
    }

    /// <summary>Stable sort by combining class from <paramref name="start"/> to the end (runs are short; insertion is right).</summary>
    private static void Reorder(List<(int Code, int Class, bool First)> parts, int start)
    {
        if (parts.Count - start > 32)
        {
            (int Code, int Class, bool First)[] sorted = [.. parts.Skip(start).OrderBy(p => p.Class)];
            parts.RemoveRange(start, parts.Count - start);
            parts.AddRange(sorted);
            return;
        }
        for (int i = start + 1; i < parts.Count; i++)
        {
            for (int k = i; k > start && parts[k - 1].Class > parts[k].Class; k--)
            {
                (parts[k - 1], parts[k]) = (parts[k], parts[k - 1]);
            }
        }
    }

    private static List<AlignedCode> ToLower(List<AlignedCode> codes)
    {
        var lower = new List<AlignedCode>(codes.Count);
        Span<int> buffer = stackalloc int[2];
        foreach (AlignedCode c in codes)
        {
            int count = UnicodeData.ToLower(c.Code, buffer);
            for (int k = 0; k < count; k++)
            {
                lower.Add(c with { Code = buffer[k] });
            }
        }
        return lower;
    }
}
