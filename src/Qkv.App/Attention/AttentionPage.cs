using System.Globalization;
using Qkv.App.Output;

namespace Qkv.App.Attention;

/// <summary>
/// Attention weights as a terminal shows them: a heat map with its numbers, rows look at columns, and for each token the three
/// that it looks at most. A map that does not fit side by side is cut into blocks of columns; one that is too large even for
/// that is left out, and the three tokens stay.
/// </summary>
internal sealed class AttentionPage
{
    // More rows than a screen has, or more blocks than one keeps in mind, show nothing.
    private const int MostRows = 40;
    private const int MostBlocks = 3;

    private const int LongestRowLabel = 14;
    private const int LongestColumnLabel = 7;
    private const int ShortColumnLabel = 5; // where longer ones do not fit
    private const int LongestTopLabel = 10;
    private const int NumberWidth = 1 + 3 + 2;

    private readonly Page _page;
    private readonly string[] _labels;
    private readonly int _width, _rowWidth, _cellWidth, _topWidth;

    /// <param name="page">Where it goes.</param>
    /// <param name="labels">(L), the tokens.</param>
    /// <param name="width">Columns of the terminal.</param>
    public AttentionPage(Page page, string[] labels, int width)
    {
        (_page, _labels, _width) = (page, labels, width);
        int longest = labels.Max(DisplayWidth.Of);
        _rowWidth = Math.Min(LongestRowLabel, longest) + 1;
        _cellWidth = Math.Clamp(longest, 3, LongestColumnLabel) + 1;
        if (labels.Length > CellsPerBlock) _cellWidth = Math.Min(_cellWidth, ShortColumnLabel + 1);
        // Three of a label, a number of three columns and the space around them.
        _topWidth = Math.Clamp((width - _rowWidth - 1) / 3, 2 + NumberWidth, Math.Clamp(longest, 2, LongestTopLabel) + NumberWidth);
    }

    private int CellsPerBlock => Math.Max(1, (_width - _rowWidth - 2) / _cellWidth);

    private int Blocks => (_labels.Length + CellsPerBlock - 1) / CellsPerBlock;

    /// <summary>Whether heat maps are drawn.</summary>
    public bool DrawsMaps => _labels.Length <= MostRows && Blocks <= MostBlocks;

    /// <summary>One map.</summary>
    /// <param name="title">What it shows.</param>
    /// <param name="remark">What else is to be said.</param>
    /// <param name="weights">(L, L)</param>
    public void Add(string title, string remark, ReadOnlySpan<float> weights)
    {
        _page.Line().Add(title, Ink.Strong).Add("  ").Line(remark, Ink.Quiet).Line();
        float largest = 0f;
        foreach (float weight in weights) largest = Math.Max(largest, weight);
        int first = 0;
        while (DrawsMaps && first < _labels.Length)
        {
            int end = Math.Min(_labels.Length, first + (_labels.Length + Blocks - 1) / Blocks);
            int free = _width - _rowWidth - (end - first) * _cellWidth - 3;
            bool withTop = end == _labels.Length && free >= 3 * _topWidth;
            AddBlock(weights, first, end, largest, withTop);
            first = end;
            if (first < _labels.Length) _page.Line();
            else if (withTop) return;
            else _page.Line();
        }
        AddBlock(weights, 0, 0, largest, withTop: true);
    }

    /// <summary>.12 for 0.12, 1.0 for one, a dot for what rounds to nothing.</summary>
    public static string Number(float weight) => weight switch
    {
        >= 0.995f => "1.0",
        < 0.005f => "·",
        _ => weight.ToString(".00", CultureInfo.InvariantCulture),
    };

    private void AddBlock(ReadOnlySpan<float> weights, int first, int end, float largest, bool withTop)
    {
        _page.Add(new string(' ', _rowWidth));
        for (int column = first; column < end; column++) _page.Add(" ").Add(DisplayWidth.Right(_labels[column], _cellWidth - 1), Ink.Quiet);
        _page.Line(withTop ? (end > first ? "   " : " ") + "looks most at" : "", Ink.Quiet);
        for (int row = 0; row < _labels.Length; row++)
        {
            ReadOnlySpan<float> line = weights.Slice(row * _labels.Length, _labels.Length);
            _page.Add(DisplayWidth.Right(_labels[row], _rowWidth - 1)).Add(" ");
            for (int column = first; column < end; column++)
            {
                string number = Number(line[column]);
                _page.Add(DisplayWidth.Right(number, _cellWidth), number == "·" ? Ink.Quiet : Ink.Heat, line[column] / largest);
            }
            if (withTop) AddTop(line, end > first ? "   " : " ");
            _page.EndLine();
        }
    }

    private void AddTop(ReadOnlySpan<float> line, string gap)
    {
        float[] weights = line.ToArray();
        _page.Add(gap);
        foreach (int token in Enumerable.Range(0, weights.Length).OrderByDescending(token => weights[token]).Take(3))
        {
            _page.Add(DisplayWidth.Left(_labels[token], _topWidth - NumberWidth)).Add(" ");
            _page.Add(DisplayWidth.Left(Number(weights[token]), NumberWidth - 1), Ink.Quiet);
        }
    }
}
