using System.Text.Json;

namespace Qkv.Training;

/// <summary>The columns of one row that are asked for.</summary>
/// <param name="Text">The text, or its characters.</param>
/// <param name="Pair">The second text, where there is such a column.</param>
/// <param name="Label">Its label or labels, or the tags of the characters.</param>
/// <param name="Line">Its line in the file, from 1.</param>
internal readonly record struct LabelledRow(string Text, string? Pair, string Label, int Line);

/// <summary>Which columns of a file are meant: each a name, or in tab-separated values a number from 1.</summary>
/// <param name="Text">The column of the text.</param>
/// <param name="Label">The column of the label.</param>
internal sealed record LabelledColumns(string Text, string Label)
{
    /// <summary>The column of the second text of a pair, or null.</summary>
    public string? Pair { get; init; }

    /// <summary>What stands between labels where a row has any number of them, else null. In JSON they may be a list.</summary>
    public string? Separator { get; init; }
}

/// <summary>
/// Reads columns of a table: tab-separated values under a line of names, or JSON Lines of objects where the name ends in .jsonl;
/// .gz is unpacked.
/// </summary>
internal static class LabelledFile
{
    /// <exception cref="InvalidDataException">The file is empty, or a line is damaged or lacks a column; names file and line.</exception>
    public static List<LabelledRow> Read(string path, LabelledColumns columns)
    {
        bool json = TextLines.NameWithoutPacking(path).EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase);
        var rows = new List<LabelledRow>();
        string[]? names = null;
        int line = 0, text = 0, pair = 0, label = 0;
        foreach (string content in TextLines.Read(path))
        {
            line++;
            if (string.IsNullOrWhiteSpace(content)) continue;
            LabelledRow row;
            if (json)
            {
                row = Parse(content, path, line, columns);
            }
            else if (names == null)
            {
                names = content.Split('\t');
                text = Find(names, columns.Text, "--text-column", path, line);
                pair = columns.Pair == null ? -1 : Find(names, columns.Pair, "--pair-column", path, line);
                label = Find(names, columns.Label, "--label-column", path, line);
                continue;
            }
            else
            {
                string[] fields = content.Split('\t');
                if (fields.Length != names.Length) throw TextLines.Bad(path, line, $"it has {fields.Length} columns, but the header has {names.Length}; separate columns by one tab");
                row = new LabelledRow(fields[text], pair < 0 ? null : fields[pair], fields[label], line);
            }
            if (string.IsNullOrWhiteSpace(row.Text) || (row.Pair != null && string.IsNullOrWhiteSpace(row.Pair))) throw TextLines.Bad(path, line, "the text is empty; remove the row");
            // A text that none of several labels fits is an example, too.
            if (columns.Separator == null && string.IsNullOrWhiteSpace(row.Label)) throw TextLines.Bad(path, line, "the label is empty; give it one or remove the row");
            rows.Add(row);
        }
        return rows.Count > 0 ? rows : throw new InvalidDataException($"{path} holds no labelled rows{(names != null ? ", only a header" : "")}.");
    }

    private static int Find(string[] names, string column, string option, string path, int line)
    {
        int at = Array.IndexOf(names, column);
        if (at < 0 && int.TryParse(column, out int number) && number >= 1 && number <= names.Length) at = number - 1;
        return at >= 0 ? at : throw TextLines.Bad(path, line, $"there is no column '{column}' among {string.Join(", ", names)}; name one with {option}");
    }

    private static LabelledRow Parse(string content, string path, int line, LabelledColumns columns)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(content);
            JsonElement root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw TextLines.Bad(path, line, $"expected an object, found {root.ValueKind}");
            string? labels = columns.Separator != null && root.TryGetProperty(columns.Label, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? Join(list, columns.Separator) : null;
            return new LabelledRow(Member(columns.Text, "--text-column"), columns.Pair == null ? null : Member(columns.Pair, "--pair-column"), labels ?? Member(columns.Label, "--label-column"), line);

            // A label may be a number; its digits are its name.
            string Member(string name, string option) => root.TryGetProperty(name, out JsonElement value) && value.ValueKind is JsonValueKind.String or JsonValueKind.Number
                ? value.ToString()
                : throw TextLines.Bad(path, line, $"there is no text '{name}' among {string.Join(", ", root.EnumerateObject().Select(member => member.Name))}; name one with {option}");

            string Join(JsonElement list, string separator)
            {
                string[] labels = [.. list.EnumerateArray().Select(label => label.ToString())];
                return labels.FirstOrDefault(label => label.Contains(separator, StringComparison.Ordinal)) is { } split
                    ? throw TextLines.Bad(path, line, $"the label '{split}' has the separator '{separator}' in it; choose another with --label-separator")
                    : string.Join(separator, labels);
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw TextLines.Bad(path, line, "it is not valid JSON", e);
        }
    }
}
