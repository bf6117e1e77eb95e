namespace Qkv.Text;

/// <summary>
/// The Unicode properties that the Rust tokenizers see, so that ids do not change with the machine. .NET cannot supply
/// them: without ICU it does not decompose, and its own tables are of a newer Unicode than the ones models were trained with
/// (marks assigned after Unicode 8 are not stripped, punctuation assigned after it does not split).
/// Source: the crates unicode_categories 0.1.1 (categories, Unicode 8), unicode-normalization-alignments 0.1.12
/// (canonical decomposition and combining classes, Unicode 9) and the case mapping of Rust's own library (Unicode 17).
/// </summary>
internal static partial class UnicodeData
{
    private const int HangulBase = 0xAC00, HangulCount = 11172;

    private static readonly int[] s_dropped, s_nonspacing, s_punctuation;   // (start, end) pairs, ascending
    private static readonly int[] s_combining;                              // (start, end, class) triples
    private static readonly int[] s_lower;                                  // (start, count, step, delta) quadruples
    private static readonly int[] s_decomposed, s_decompositionStart, s_decompositions;

    /// <summary>
    /// Unpacks the tables: unsigned LEB128 numbers, differences to the number before where values ascend.
    /// </summary>
    static UnicodeData()
    {
        ReadOnlySpan<byte> numbers = Convert.FromBase64String(Packed);
        s_dropped = Ranges(ref numbers);
        s_nonspacing = Ranges(ref numbers);
        s_punctuation = Ranges(ref numbers);
        s_combining = new int[3 * Number(ref numbers)];
        for (int i = 0, last = 0; i < s_combining.Length; i += 3)
        {
            s_combining[i] = last + Number(ref numbers);
            s_combining[i + 1] = last = s_combining[i] + Number(ref numbers);
            s_combining[i + 2] = Number(ref numbers);
        }
        s_lower = new int[4 * Number(ref numbers)];
        for (int i = 0, last = 0; i < s_lower.Length; i += 4)
        {
            s_lower[i] = last += Number(ref numbers);
            s_lower[i + 1] = Number(ref numbers);
            s_lower[i + 2] = Number(ref numbers);
            s_lower[i + 3] = Signed(ref numbers);
        }
        int count = Number(ref numbers);
        s_decomposed = new int[count];
        s_decompositionStart = new int[count + 1];
        var all = new List<int>(3 * count);
        for (int i = 0, last = 0; i < count; i++)
        {
            s_decomposed[i] = last += Number(ref numbers);
            int length = Number(ref numbers), previous = last;
            for (int k = 0; k < length; k++)
            {
                all.Add(previous += Signed(ref numbers));
            }
            s_decompositionStart[i + 1] = all.Count;
        }
        s_decompositions = [.. all];
    }

    /// <summary>NUL, U+FFFD, and categories Cc, Cf and Co without tab, line feed and carriage return.</summary>
    public static bool IsDropped(int code) => InRanges(s_dropped, code);

    /// <summary>Category Mn; asked about decomposed text, so characters that decompose are not in the table.</summary>
    public static bool IsNonspacingMark(int code) => InRanges(s_nonspacing, code);

    /// <summary>ASCII punctuation and symbols, and the categories P*.</summary>
    public static bool IsPunctuation(int code) => InRanges(s_punctuation, code);

    /// <summary>The punctuation of the basic plane, marked in a table of its characters.</summary>
    public static void MarkPunctuation<T>(T[] table, T mark)
    {
        for (int i = 0; i < s_punctuation.Length && s_punctuation[i] < table.Length; i += 2)
        {
            table.AsSpan(s_punctuation[i]..Math.Min(s_punctuation[i + 1] + 1, table.Length)).Fill(mark);
        }
    }

    /// <summary>The property White_Space.</summary>
    public static bool IsWhiteSpace(int code) => code <= char.MaxValue && char.IsWhiteSpace((char)code);

    /// <summary>
    /// The CJK blocks of the Rust normalizer; extension E starts at U+2B920 there (a slip of U+2B820) and models are fed that.
    /// </summary>
    public static bool IsChinese(int code) => code is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F)
        or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);

    /// <summary>Canonical combining class, 0 for starters.</summary>
    public static int CombiningClass(int code)
    {
        int at = LastStart(s_combining, 3, code);
        return at >= 0 && code <= s_combining[at + 1] ? s_combining[at + 2] : 0;
    }

    /// <summary>Full lower-case mapping without context: one code point, but U+0130 gives two. Returns their number.</summary>
    public static int ToLower(int code, Span<int> lower)
    {
        if (code == 0x130)
        {
            (lower[0], lower[1]) = ('i', 0x307);
            return 2;
        }
        int at = LastStart(s_lower, 4, code);
        int distance = at < 0 ? -1 : code - s_lower[at];
        bool mapped = at >= 0 && distance % s_lower[at + 2] == 0 && distance / s_lower[at + 2] < s_lower[at + 1];
        lower[0] = mapped ? code + s_lower[at + 3] : code;
        return 1;
    }

    /// <summary>Full canonical decomposition into at most four code points. Returns their number.</summary>
    public static int Decompose(int code, Span<int> parts)
    {
        int syllable = code - HangulBase;
        if ((uint)syllable < HangulCount)
        {
            parts[0] = 0x1100 + syllable / 588;
            parts[1] = 0x1161 + syllable % 588 / 28;
            parts[2] = 0x11A7 + syllable % 28;
            return syllable % 28 == 0 ? 2 : 3;
        }
        int at = code < s_decomposed[0] ? -1 : Array.BinarySearch(s_decomposed, code);
        if (at < 0)
        {
            parts[0] = code;
            return 1;
        }
        ReadOnlySpan<int> found = s_decompositions.AsSpan(s_decompositionStart[at]..s_decompositionStart[at + 1]);
        found.CopyTo(parts);
        return found.Length;
    }

    private static bool InRanges(int[] ranges, int code)
    {
        int at = LastStart(ranges, 2, code);
        return at >= 0 && code <= ranges[at + 1];
    }

    /// <summary>Index of the last row that starts at or before <paramref name="code"/>; -1 if none does.</summary>
    private static int LastStart(int[] rows, int width, int code)
    {
        int low = 0, high = rows.Length / width;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            (low, high) = rows[middle * width] <= code ? (middle + 1, high) : (low, middle);
        }
        return (low - 1) * width;
    }

    private static int[] Ranges(ref ReadOnlySpan<byte> numbers)
    {
        int[] ranges = new int[2 * Number(ref numbers)];
        for (int i = 0, last = 0; i < ranges.Length; i += 2)
        {
            ranges[i] = last + Number(ref numbers);
            ranges[i + 1] = last = ranges[i] + Number(ref numbers);
        }
        return ranges;
    }

    private static int Number(ref ReadOnlySpan<byte> numbers)
    {
        int value = 0, bytes = 0;
        do
        {
            value |= (numbers[bytes] & 127) << 7 * bytes;
        }
        while (numbers[bytes++] >= 128);
        numbers = numbers[bytes..];
        return value;
    }

    private static int Signed(ref ReadOnlySpan<byte> numbers)
    {
        int value = Number(ref numbers);
        return (value & 1) == 0 ? value >> 1 : -(value >> 1) - 1;
    }
}
