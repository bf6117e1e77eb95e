using System.Text;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Qkv.App.Output;

/// <summary>Writes a page in colour, as many of them as the terminal has.</summary>
internal static class Painter
{
    public static void Write(Page page, TextWriter writer)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.Yes,
            ColorSystem = ColorSystemSupport.Detect,
            Interactive = InteractionSupport.No,
            Out = new Sheet(writer),
        });
        console.Write(new Painting(page));
    }

    private static Style StyleOf(Piece piece) => piece.Ink switch
    {
        Ink.Strong => new Style(decoration: Decoration.Bold),
        Ink.Quiet => new Style(Color.Grey),
        // A faint weight has no colour, so that the eye finds the others.
        Ink.Heat when piece.Heat > 0.04f => Heat(piece.Heat),
        _ => Style.Plain,
    };

    /// <summary>From a night blue over violet to a warm yellow; the digits stay readable on each.</summary>
    private static Style Heat(float heat)
    {
        (int R, int G, int B)[] stops = [(28, 34, 58), (62, 56, 130), (142, 62, 140), (222, 110, 92), (252, 206, 120)];
        float at = Math.Clamp(heat, 0f, 1f) * (stops.Length - 1);
        int low = Math.Min((int)at, stops.Length - 2);
        float part = at - low;
        byte Mix(int from, int to) => (byte)(from + (to - from) * part);
        var colour = new Color(Mix(stops[low].R, stops[low + 1].R), Mix(stops[low].G, stops[low + 1].G), Mix(stops[low].B, stops[low + 1].B));
        return new Style(heat > 0.68f ? Color.Black : Color.White, colour);
    }

    private sealed class Painting(Page page) : Renderable
    {
        protected override IEnumerable<Segment> Render(RenderOptions options, int maxWidth)
        {
            foreach (Piece[] line in page.Lines)
            {
                foreach (Piece piece in line) yield return new Segment(piece.Text, StyleOf(piece));
                yield return Segment.LineBreak;
            }
        }
    }

    /// <summary>An endless sheet, for lines are laid out already. Asking the console for its size would make it write escape codes of its own.</summary>
    private sealed class Sheet(TextWriter writer) : IAnsiConsoleOutput
    {
        private const int Unlimited = 1 << 20;

        public TextWriter Writer => writer;

        public bool IsTerminal => true;

        public int Width => Unlimited;

        public int Height => Unlimited;

        public void SetEncoding(Encoding encoding)
        {
        }
    }
}
