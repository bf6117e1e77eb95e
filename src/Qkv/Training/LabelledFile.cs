using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>Two columns of one row.</summary>
/// <param name="Text">The text, or its characters.</param>
/// <param name="Label">Its label, or the tags of the characters.</param>
/// <param name="Line">Its line in the file, from 1.</param>
internal readonly record struct LabelledRow(string Text, string Label, int Line);

/// <summary>
/// Reads two columns of a table: tab-separated values under a line of names, or JSON Lines of objects where the name ends in .jsonl;
/// .gz is unpacked. A column is a name, or in tab-separated values its number from 1.
/// </summary>
internal static class LabelledFile
{
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <exception cref="InvalidDataException">The file is empty, or a line is damaged or lacks a column; names file and line.</exception>
    public static List<LabelledRow> Read(string path, string textColumn, string labelColumn)
    {
        bool packed = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        using Stream file = File.OpenRead(path);
        using Stream plain = packed ? new GZipStream(file, CompressionMode.Decompress) : file;
        string name = packed ? path[..^3] : path;
        bool json = name.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase);
        var rows = new List<LabelledRow>();
        int line = 0, columns = 0, text = 0, label = 0;
        foreach (ReadOnlyMemory<byte> bytes in JsonLines.Lines(plain, path))
        {
            line++;
            string content = Decode(bytes.Span, path, line);
            if (string.IsNullOrWhiteSpace(content)) continue;
            if (json)
            {
                rows.Add(Parse(content, path, line, textColumn, labelColumn));
            }
            else if (columns == 0)
            {
                string[] names = content.Split('\t');
                columns = names.Length;
                text = Find(names, textColumn, "--text-column", path, line);
                label = Find(names, labelColumn, "--label-column", path, line);
            }
            else
            {
                string[] fields = content.Split('\t');
                if (fields.Length != columns) throw Bad(path, line, $"it has {fields.Length} columns, but the header has {columns}; separate columns by one tab");
                rows.Add(new LabelledRow(fields[text], fields[label], line));
            }
            if (rows.Count > 0 && rows[^1].Line == line) CheckFilled(rows[^1], path);
        }
        if (rows.Count == 0) throw new InvalidDataException($"{path} holds no labelled rows{(columns > 0 ? ", only a header" : "")}.");
        return rows;
    }

    public static InvalidDataException Bad(string path, int line, string reason, Exception? cause = null) => new($"{path}, line {line}: {reason}.", cause);

    private static void CheckFilled(LabelledRow row, string path)
    {
        if (string.IsNullOrWhiteSpace(row.Text)) throw Bad(path, row.Line, "the text is empty; remove the row");
        if (string.IsNullOrWhiteSpace(row.Label)) throw Bad(path, row.Line, "the label is empty; give it one or remove the row");
    }

    private static string Decode(ReadOnlySpan<byte> bytes, string path, int line)
    {
        try
        {
            return s_strict.GetString(bytes).TrimEnd('\r');
        }
        catch (DecoderFallbackException e)
        {
            throw Bad(path, line, "it is not valid UTF-8; convert the file", e);
        }
    }

    private static int Find(string[] names, string column, string option, string path, int line)
    {
        int at = Array.IndexOf(names, column);
        if (at < 0 && int.TryParse(column, out int number) && number >= 1 && number <= names.Length) at = number - 1;
        return at >= 0 ? at : throw Bad(path, line, $"there is no column '{column}' among {string.Join(", ", names)}; name one with {option}");
    }

    private static LabelledRow Parse(string content, string path, int line, string textColumn, string labelColumn)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(content);
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw Bad(path, line, $"expected an object, found {document.RootElement.ValueKind}");
            return new LabelledRow(Member(textColumn, "--text-column"), Member(labelColumn, "--label-column"), line);

            // A label may be a number; its digits are its name.
            string Member(string name, string option) => document.RootElement.TryGetProperty(name, out JsonElement value) && value.ValueKind is JsonValueKind.String or JsonValueKind.Number
                ? value.ToString()
                : throw Bad(path, line, $"there is no text '{name}' among {string.Join(", ", document.RootElement.EnumerateObject().Select(member => member.Name))}; name one with {option}");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Bad(path, line, "it is not valid JSON", e);
        }
    }
}
