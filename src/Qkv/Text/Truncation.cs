namespace Qkv.Text;

/// <summary>
/// How much of each sequence stays, and which windows the rest makes. Source: huggingface/tokenizers, utils/truncation.rs and
/// Encoding::truncate.
/// </summary>
internal static class Truncation
{
    /// <summary>Tokens left of sequences of <paramref name="first"/> and <paramref name="second"/> tokens (−1: none).</summary>
    /// <param name="first">Tokens of the first sequence.</param>
    /// <param name="second">Tokens of the second, or −1.</param>
    /// <param name="room">Tokens that fit, special ones taken off.</param>
    /// <param name="strategy">Who gives way.</param>
    public static (int First, int Second) Keep(int first, int second, int room, TruncationStrategy strategy)
    {
        bool isPair = second >= 0;
        int excess = first + Math.Max(second, 0) - room;
        if (excess <= 0)
        {
            return (first, second);
        }
        if (room == 0)
        {
            return (0, isPair ? 0 : -1);
        }
        switch (strategy)
        {
            case TruncationStrategy.OnlyFirst:
                return (Shorten(first, excess, "first"), second);
            case TruncationStrategy.OnlySecond:
                return isPair
                    ? (first, Shorten(second, excess, "second"))
                    : throw new ArgumentException("Encode: expected a second text to truncate with OnlySecond, got one text.");
            default:
                return isPair ? Balance(first, second, room) : (room, -1);
        }
    }

    private static (int First, int Second) Balance(int first, int second, int room)
    {
        int shorter = Math.Min(first, second);
        int longer = shorter > room ? shorter : Math.Max(shorter, room - shorter);
        if (shorter + longer > room)
        {
            shorter = room / 2;
            longer = room - shorter;
        }
        return first > second ? (longer, shorter) : (shorter, longer);
    }

    private static int Shorten(int length, int excess, string which) => length > excess
        ? length - excess
        : throw new ArgumentException(
            $"Encode: expected the {which} text to be longer than the {excess} tokens that must go, got {length}.");

    /// <summary>The windows of a sequence, the one that is kept first: (start, end) each.</summary>
    public static List<(int Start, int End)> Windows(int length, int keep, int stride, Side side)
    {
        if (keep >= length)
        {
            return [(0, length)];
        }
        if (keep == 0)
        {
            return [(0, 0), (0, length)];
        }
        if (stride >= keep)
        {
            throw new ArgumentException($"Encode: expected a stride below the {keep} tokens a window has room for, got {stride}.");
        }
        var windows = new List<(int Start, int End)>();
        for (int done = 0; ; done += keep - stride)
        {
            int end = Math.Min(done + keep, length);
            windows.Add(side == Side.Right ? (done, end) : (length - end, length - done));
            if (end == length)
            {
                return windows;
            }
        }
    }
}
