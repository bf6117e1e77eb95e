namespace Qkv.Training;

/// <summary>
/// Pairs from plain text: sentences that follow each other in a document, each sentence in one pair. Documents are separated by blank
/// lines; a sentence ends with its line, or with a full stop, question mark or exclamation mark.
/// </summary>
internal static class SentencePairs
{
    // Shorter ones ("Yes.", "第一章") fit anywhere and so teach nothing of what follows what.
    private const int Shortest = 6;

    /// <summary>At most <paramref name="most"/> pairs, drawn evenly from the whole stream (Vitter's algorithm R).</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or no two sentences follow each other.</exception>
    public static List<TextPair> Read(string path, int most, ulong seed)
    {
        var kept = new List<TextPair>();
        var random = new RandomStream(seed);
        int count = 0;
        string? before = null;
        foreach (string text in TextLines.Read(path))
        {
            if (string.IsNullOrWhiteSpace(text)) before = null;
            foreach (string sentence in Split(text))
            {
                if (sentence.Length < Shortest) continue;
                if (before == null)
                {
                    before = sentence;
                    continue;
                }
                int place = count++ < most ? kept.Count : random.Next(count);
                if (place == kept.Count) kept.Add(new TextPair(before, sentence));
                else if (place < most) kept[place] = new TextPair(before, sentence);
                before = null;
            }
        }
        return kept.Count > 0 ? kept : throw new InvalidDataException($"{path} has no two sentences after each other in one document.");
    }

    /// <summary>The sentences of a line, with their marks and closing quotes.</summary>
    internal static IEnumerable<string> Split(string line)
    {
        int start = 0;
        for (int i = 0; i < line.Length; i++)
        {
            // A point inside 3.5 or e.g. a name ends nothing: a Latin mark needs a space behind it.
            if (!("。！？".Contains(line[i]) || (".!?".Contains(line[i]) && (i + 1 == line.Length || " \"”'’)".Contains(line[i + 1]))))) continue;
            int end = i + 1;
            while (end < line.Length && "。！？.!?\"”'’）)」』".Contains(line[end])) end++;
            if (line[start..end].Trim() is { Length: > 0 } sentence) yield return sentence;
            start = end;
            i = end - 1;
        }
        if (line[start..].Trim() is { Length: > 0 } rest) yield return rest;
    }
}
