using System.Globalization;
using System.Security;
using System.Text;
using Qkv.App.Output;

namespace Qkv.App.Attention;

/// <summary>
/// Attention weights as a picture that stands alone: a row of heat maps for each layer, the average first. Cells of one shade
/// are one path, so that a picture of 512 tokens stays small.
/// </summary>
internal sealed class AttentionSvg(string title, string[] labels)
{
    private const int Shades = 24;
    private const int Gap = 36;
    private const int Margin = 24;
    private const int TitleHeight = 64;
    private const int CaptionHeight = 26;

    // Numbers are printed in cells as long as a person can read them.
    private const int MostNumbers = 24;
    private const int LongestLabel = 14;

    private readonly StringBuilder _svg = new();

    private int Length => labels.Length;

    private int Cell => Length <= MostNumbers ? 34 : Length <= 64 ? 16 : Math.Max(2, 1024 / Length);

    // Below this, labels would lie on top of each other.
    private bool HasLabels => Cell >= 10;

    private int LabelSize => HasLabels ? 13 : 0;

    private int LabelLength => HasLabels ? 8 + (int)(labels.Max(label => DisplayWidth.Of(DisplayWidth.Cut(label, LongestLabel))) * LabelSize * 0.62) : 0;

    private int MapWidth => LabelLength + Length * Cell;

    private int MapHeight => CaptionHeight + LabelLength + Length * Cell;

    /// <summary>The picture.</summary>
    /// <param name="layers">The layers, top to bottom.</param>
    /// <param name="heads">The heads beside each average.</param>
    public string Draw(IReadOnlyList<LayerAttention> layers, IReadOnlyList<int> heads)
    {
        int width = 2 * Margin + (heads.Count + 1) * (MapWidth + Gap) - Gap;
        int height = TitleHeight + layers.Count * (MapHeight + Gap) - Gap + Margin;
        width = Math.Max(width, 480);
        _svg.Append(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title description" font-family="ui-sans-serif, system-ui, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif">
            <title id="title">{Escape(title)}</title>
            <desc id="description">Heat maps of attention weights. Rows look at columns; every row sums to 1; darker is more.</desc>
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="{Margin}" y="30" font-size="17" font-weight="600" fill="#1f2937">{Escape(DisplayWidth.Cut(title, Math.Max(40, width / 10)))}</text>
            <text x="{Margin}" y="50" font-size="12" fill="#6b7280">rows look at columns; every row sums to 1</text>

            """);
        int y = TitleHeight;
        foreach (LayerAttention layer in layers)
        {
            int x = Margin;
            DrawMap($"layer {layer.Layer}, average of {layer.Heads} heads", layer.Average, x, y);
            foreach (int head in heads)
                DrawMap(string.Create(CultureInfo.InvariantCulture, $"layer {layer.Layer}, head {head}, entropy {layer.Entropies[head]:0.00}"), layer.Head(head), x += MapWidth + Gap, y);
            y += MapHeight + Gap;
        }
        return _svg.Append("</svg>\n").ToString();
    }

    private void DrawMap(string caption, ReadOnlySpan<float> weights, int x, int y)
    {
        float largest = 0f;
        foreach (float weight in weights) largest = Math.Max(largest, weight);
        int left = x + LabelLength, top = y + CaptionHeight + LabelLength, side = Length * Cell;
        _svg.Append(CultureInfo.InvariantCulture, $"<g><text x=\"{left}\" y=\"{y + 12}\" font-size=\"13\" fill=\"#374151\">{Escape(caption)}</text>\n");
        DrawLabels(left, top);
        DrawCells(weights, largest, left, top);
        _svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{left}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" fill=\"none\" stroke=\"#d1d5db\"/>\n");
        if (Length <= MostNumbers) DrawNumbers(weights, largest, left, top);
        _svg.Append("</g>\n");
    }

    private void DrawLabels(int left, int top)
    {
        if (!HasLabels) return;
        _svg.Append(CultureInfo.InvariantCulture, $"<g font-size=\"{LabelSize}\" fill=\"#374151\">\n");
        for (int token = 0; token < Length; token++)
        {
            string label = Escape(DisplayWidth.Cut(labels[token], LongestLabel));
            double middle = (token + 0.5) * Cell;
            _svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left - 6}\" y=\"{top + middle + 4.5:0.#}\" text-anchor=\"end\">{label}</text>");
            bool upright = DisplayWidth.Of(labels[token]) * LabelSize * 0.62 <= Cell;
            _svg.Append(upright
                ? string.Create(CultureInfo.InvariantCulture, $"<text x=\"{left + middle:0.#}\" y=\"{top - 7}\" text-anchor=\"middle\">{label}</text>\n")
                : string.Create(CultureInfo.InvariantCulture, $"<text transform=\"translate({left + middle + 4.5:0.#} {top - 6}) rotate(-90)\">{label}</text>\n"));
        }
        _svg.Append("</g>\n");
    }

    private void DrawCells(ReadOnlySpan<float> weights, float largest, int left, int top)
    {
        var paths = new StringBuilder?[Shades + 1];
        for (int i = 0, end; i < weights.Length; i = end)
        {
            // Neighbours of one shade are one rectangle.
            int shade = ShadeOf(weights[i]);
            for (end = i + 1; end % Length != 0 && ShadeOf(weights[end]) == shade;) end++;
            if (shade > 0) (paths[shade] ??= new StringBuilder()).Append(CultureInfo.InvariantCulture, $"M{i % Length} {i / Length}h{end - i}v1h{i - end}z");
        }
        _svg.Append(CultureInfo.InvariantCulture, $"<g transform=\"translate({left} {top}) scale({Cell})\" shape-rendering=\"crispEdges\">\n");
        for (int shade = 1; shade <= Shades; shade++)
            if (paths[shade] is { } path) _svg.Append(CultureInfo.InvariantCulture, $"<path fill=\"{Colour((float)shade / Shades)}\" d=\"{path}\"/>\n");
        _svg.Append("</g>\n");

        int ShadeOf(float weight) => (int)MathF.Round(weight / largest * Shades);
    }

    private void DrawNumbers(ReadOnlySpan<float> weights, float largest, int left, int top)
    {
        _svg.Append("<g font-size=\"11\" text-anchor=\"middle\">\n");
        for (int i = 0; i < weights.Length; i++)
        {
            string number = AttentionPage.Number(weights[i]);
            string ink = number == "·" ? "#9ca3af" : weights[i] / largest > 0.55f ? "#ffffff" : "#1f2937";
            double x = left + (i % Length + 0.5) * Cell, y = top + (i / Length + 0.5) * Cell + 4;
            _svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x:0.#}\" y=\"{y:0.#}\" fill=\"{ink}\">{number}</text>\n");
        }
        _svg.Append("</g>\n");
    }

    /// <summary>From white over a light to a deep blue.</summary>
    private static string Colour(float heat)
    {
        (int R, int G, int B)[] stops = [(255, 255, 255), (166, 200, 232), (20, 72, 140)];
        float at = heat * 2f;
        int low = at < 1f ? 0 : 1;
        int Mix(int from, int to) => (int)(from + (to - from) * (at - low));
        return $"#{Mix(stops[low].R, stops[low + 1].R):x2}{Mix(stops[low].G, stops[low + 1].G):x2}{Mix(stops[low].B, stops[low + 1].B):x2}";
    }

    /// <summary>Escaped for XML, with nothing in it that XML 1.0 cannot hold.</summary>
    private static string Escape(string text)
    {
        IEnumerable<Rune> allowed = TokenLabels.Clean(text).EnumerateRunes().Where(rune => rune.Value is not (0xFFFE or 0xFFFF));
        return SecurityElement.Escape(string.Concat(allowed.Select(rune => rune.ToString())));
    }
}
