using System.Globalization;
using Qkv.App.Attention;
using Qkv.App.Output;
using Qkv.Text;

namespace Qkv.App.Tokens;

/// <summary>An encoding as a table that a person reads: a token a line.</summary>
internal static class TokenTable
{
    public static Page Of(Encoding encoding, string text, string? pair)
    {
        string[] header = ["", "token", "id", "type", "word", "offsets", "text"];
        var rows = new List<string[]>();
        for (int token = 0; token < encoding.Length; token++)
        {
            TextRange range = encoding.Offsets[token], points = encoding.CodePointOffsets[token];
            string source = encoding.SequenceIds[token] == 1 ? pair ?? "" : text;
            rows.Add([
                Number(token), TokenLabels.Clean(encoding.Tokens[token]), Number(encoding.Ids[token]), Number(encoding.TypeIds[token]),
                encoding.WordIds[token] is { } word ? Number(word) : "", encoding.SequenceIds[token] is null ? "" : $"{points.Start}–{points.End}",
                encoding.SequenceIds[token] is null ? "" : TokenLabels.Clean(source[range.Start..range.End]),
            ]);
        }
        int[] widths = [.. header.Select((title, column) => rows.Select(row => DisplayWidth.Of(row[column])).Append(DisplayWidth.Of(title)).Max())];
        var page = new Page();
        page.Line(Line(header, widths), Ink.Quiet);
        foreach (string[] row in rows) page.Line(Line(row, widths));
        if (encoding.Overflowing.Length > 0) page.Line($"{encoding.Overflowing.Length:N0} overflowing windows: --json shows them.", Ink.Quiet);
        return page.Line();
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);

    // Names to the left, numbers to the right.
    private static string Line(string[] cells, int[] widths) => string.Join("  ", cells.Select((cell, column) =>
        column is 1 or 6 ? DisplayWidth.Left(cell, widths[column]) : DisplayWidth.Right(cell, widths[column]))).TrimEnd();
}
