using System.Globalization;
using System.Text;

namespace Qkv.App.Training;

/// <summary>Losses over tokens as a standalone picture.</summary>
internal static class LossCurve
{
    private const int Width = 720;
    private const int Height = 360;
    private const int Margin = 48;

    public static string Draw(IReadOnlyList<(double Tokens, double Loss)> training, IReadOnlyList<(double Tokens, double Loss)> evaluations)
    {
        double right = Math.Max(training.Select(point => point.Tokens).DefaultIfEmpty(1).Max(), 1);
        double top = training.Concat(evaluations).Select(point => point.Loss).DefaultIfEmpty(1).Max();
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\"><title>Loss over tokens</title>");
        svg.Append(CultureInfo.InvariantCulture, $"<rect width=\"{Width}\" height=\"{Height}\" fill=\"#fff\"/>");
        for (int loss = 0; loss <= top; loss++)
        {
            double y = Y(loss, top);
            svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Margin} {y:f1}H{Width - 12}\" stroke=\"#ddd\"/><text x=\"{Margin - 8}\" y=\"{y + 4:f1}\" text-anchor=\"end\">{loss}</text>");
        }
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - 12}\" y=\"{Height - 12}\" text-anchor=\"end\">{right / 1e6:f1} million tokens</text>");
        Line(svg, training, right, top, "#9bb3d4");
        Line(svg, evaluations, right, top, "#c0392b");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Margin}\" y=\"{Height - 12}\"><tspan fill=\"#5b7fb5\">training</tspan> <tspan fill=\"#c0392b\">validation</tspan></text></svg>\n");
        return svg.ToString();
    }

    private static void Line(StringBuilder svg, IReadOnlyList<(double Tokens, double Loss)> points, double right, double top, string colour)
    {
        if (points.Count == 0) return;
        svg.Append("<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"").Append(colour).Append("\" points=\"");
        foreach ((double tokens, double loss) in points)
            svg.Append(CultureInfo.InvariantCulture, $"{Margin + tokens / right * (Width - Margin - 12):f1},{Y(loss, top):f1} ");
        svg.Append("\"/>");
    }

    private static double Y(double loss, double top) => 12 + (1 - loss / top) * (Height - 12 - Margin);
}
