using System.Globalization;
using System.Text.Json;

namespace Qkv.Training;

/// <summary>Two texts that mean the same, or one that answers the other.</summary>
/// <param name="Anchor">The first text.</param>
/// <param name="Positive">The second.</param>
/// <param name="Score">How alike they are, where the file says so.</param>
internal readonly record struct TextPair(string Anchor, string Positive, double? Score = null);

/// <summary>Pairs of texts in the files that <see cref="LabelledFile"/> reads, columns found by the names that such files use.</summary>
internal static class PairFile
{
    private const string ScoreColumn = "score";

    private static readonly (string Anchor, string Positive)[] s_names = [("anchor", "positive"), ("sentence1", "sentence2"), ("query", "positive"), ("zh", "en")];

    /// <param name="path">The file.</param>
    /// <param name="columns">Names or numbers of the two columns; null for the first names known, else the first two columns.</param>
    /// <exception cref="InvalidDataException">The file is empty, or a line is damaged or lacks a column; names file and line.</exception>
    public static List<TextPair> Read(string path, (string Anchor, string Positive)? columns)
    {
        string[] names = Names(path);
        foreach (string column in columns is { } given ? [given.Anchor, given.Positive] : Array.Empty<string>())
            if (!names.Contains(column) && !(int.TryParse(column, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= 1 && number <= names.Length))
                throw TextLines.Bad(path, 1, $"there is no column '{column}' among {string.Join(", ", names)}; name two with --columns");
        if (columns == null && names.Length < 2) throw TextLines.Bad(path, 1, "a pair needs two columns, but there is only one; separate columns by one tab");
        (string anchor, string positive) = columns ?? s_names.Append((Anchor: names[0], Positive: names[1])).First(pair => names.Contains(pair.Anchor) && names.Contains(pair.Positive));
        List<TextPair> pairs = [.. LabelledFile.Read(path, new LabelledColumns(anchor, positive)).Select(row => new TextPair(row.Text, row.Label))];
        if (!names.Contains(ScoreColumn) || anchor == ScoreColumn || positive == ScoreColumn) return pairs;
        foreach ((int i, LabelledRow row) in LabelledFile.Read(path, new LabelledColumns(anchor, ScoreColumn)).Index())
            pairs[i] = pairs[i] with
            {
                Score = double.TryParse(row.Label, NumberStyles.Float, CultureInfo.InvariantCulture, out double score) && double.IsFinite(score)
                    ? score
                    : throw TextLines.Bad(path, row.Line, $"the score '{row.Label}' is no number"),
            };
        return pairs;
    }

    /// <summary>The names of the columns, of JSON Lines those of the first line.</summary>
    private static string[] Names(string path)
    {
        string first = TextLines.Read(path).FirstOrDefault(line => !string.IsNullOrWhiteSpace(line)) ?? throw new InvalidDataException($"{path} holds no pairs.");
        if (!TextLines.NameWithoutPacking(path).EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase)) return first.Split('\t');
        try
        {
            using JsonDocument document = JsonDocument.Parse(first);
            return [.. document.RootElement.EnumerateObject().Select(member => member.Name)];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw TextLines.Bad(path, 1, "it is not a JSON object", e);
        }
    }
}
