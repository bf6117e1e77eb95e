using System.Globalization;

namespace Qkv.App.Output;

/// <summary>Named probabilities, one a line: name, number, bar.</summary>
internal static class Bars
{
    private const int LongestName = 30;
    private const int Length = 30;

    // Eighths of a column.
    private const string Parts = " ▏▎▍▌▋▊▉";

    public static void Add(Page page, IEnumerable<(string Name, float Score)> scores)
    {
        (string Name, float Score)[] rows = [.. scores];
        int width = Math.Min(LongestName, rows.Select(row => DisplayWidth.Of(row.Name)).DefaultIfEmpty().Max());
        foreach ((string name, float score) in rows)
        {
            page.Add($"  {DisplayWidth.Left(name, width)}  ").Add(score.ToString("0.0000", CultureInfo.InvariantCulture), Ink.Quiet);
            // A regression's number is no probability and has no bar.
            int eighths = score is >= 0f and <= 1f ? (int)MathF.Round(score * Length * 8) : 0;
            page.Line($"  {new string('█', eighths / 8)}{Parts[eighths % 8]}".TrimEnd());
        }
    }
}
