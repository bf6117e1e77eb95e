namespace Qkv.App.Output;

/// <summary>Positions of a text in code points, as Python counts, a lone surrogate counting as one.</summary>
internal static class CodePoints
{
    /// <summary>Code points before a UTF-16 position.</summary>
    public static int Before(string text, int position)
    {
        int count = 0;
        for (int i = 0; i < position; i++)
            if (!(i > 0 && char.IsSurrogatePair(text[i - 1], text[i]))) count++;
        return count;
    }
}
