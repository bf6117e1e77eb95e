namespace Qkv.App.Output;

/// <summary>How a piece of text looks where there is colour; without it all look alike.</summary>
internal enum Ink
{
    Plain,
    Strong,
    Quiet,
    Heat,
}

/// <summary>A piece of text of one look.</summary>
/// <param name="Text">No line breaks.</param>
/// <param name="Ink">How it looks.</param>
/// <param name="Heat">0 … 1, the strength of <see cref="Ink.Heat"/>.</param>
internal readonly record struct Piece(string Text, Ink Ink, float Heat);

/// <summary>Lines of text as a terminal shows them: laid out first, coloured only when written to one that has colour.</summary>
internal sealed class Page
{
    private readonly List<Piece> _line = [];
    private readonly List<Piece[]> _lines = [];

    public IReadOnlyList<Piece[]> Lines => _lines;

    public Page Add(string text, Ink ink = Ink.Plain, float heat = 0f)
    {
        if (text.Length > 0) _line.Add(new Piece(text, ink, heat));
        return this;
    }

    public Page EndLine()
    {
        _lines.Add([.. _line]);
        _line.Clear();
        return this;
    }

    public Page Line(string text = "", Ink ink = Ink.Plain) => Add(text, ink).EndLine();

    public void WriteTo(Terminal terminal)
    {
        if (terminal.HasColour) Painter.Write(this, terminal.Text);
        else WritePlain(terminal.Text);
    }

    public void WritePlain(TextWriter writer)
    {
        foreach (Piece[] line in _lines) writer.WriteLine(string.Concat(line.Select(piece => piece.Text)).TrimEnd());
    }
}
