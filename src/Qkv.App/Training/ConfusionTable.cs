using System.Globalization;
using Qkv.App.Attention;
using Qkv.App.Output;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>What was taken for what: the whole table where it fits on a page, else its largest entries off the diagonal.</summary>
internal static class ConfusionTable
{
    private const int LargestTable = 12;
    private const int MostPairs = 15;
    private const int LongestName = 24;

    public static void Add(Page page, Confusion confusion, IReadOnlyList<string> labels)
    {
        string[] names = [.. labels.Select(label => DisplayWidth.Cut(TokenLabels.Clean(label), LongestName))];
        int width = names.Max(DisplayWidth.Of);
        if (labels.Count <= LargestTable) AddTable(page, confusion, names, width);
        else AddPairs(page, confusion, [.. labels.Select(TokenLabels.Clean)]);
    }

    private static void AddTable(Page page, Confusion confusion, string[] names, int width)
    {
        page.Line("rows: the right label; columns, in the same order: the predicted one; F1", Ink.Quiet);
        int cell = Math.Max(3, confusion.Count.ToString(CultureInfo.InvariantCulture).Length) + 1;
        for (int row = 0; row < names.Length; row++)
        {
            page.Add(DisplayWidth.Left(names[row], width));
            for (int column = 0; column < names.Length; column++)
                page.Add(confusion[row, column].ToString(CultureInfo.InvariantCulture).PadLeft(cell), row == column ? Ink.Strong : Ink.Plain);
            page.Line(string.Create(CultureInfo.InvariantCulture, $"   {confusion.F1(row):p1}"), Ink.Quiet);
        }
    }

    private static void AddPairs(Page page, Confusion confusion, string[] names)
    {
        var pairs = from row in Enumerable.Range(0, names.Length)
                    from column in Enumerable.Range(0, names.Length)
                    where row != column && confusion[row, column] > 0
                    orderby confusion[row, column] descending
                    select (Row: row, Column: column);
        page.Line("most often confused: times, the right label → the predicted one", Ink.Quiet);
        foreach ((int row, int column) in pairs.Take(MostPairs)) page.Line($"{confusion[row, column],4}  {names[row]} → {names[column]}");
    }
}
