using System.Text;
using Qkv.Text;

namespace Qkv.App.Output;

/// <summary>Texts from a file, or from standard input where its name is "-".</summary>
internal static class Input
{
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    public static Stream Open(string path, Terminal terminal)
    {
        if (path == "-") return terminal.Input;
        if (Directory.Exists(path)) throw new UsageException($"--input '{path}' is a directory; name a file.");
        return File.Exists(path) ? File.OpenRead(path) : throw new FileNotFoundException($"--input '{path}': there is no such file.");
    }

    public static string Name(string path) => path == "-" ? "standard input" : path;

    /// <summary>The lines of a stream, one at a time; blank ones are empty texts, so that the results stand beside the lines.</summary>
    /// <exception cref="InvalidDataException">A line is not valid UTF-8; names file and line.</exception>
    public static IEnumerable<string> Lines(Stream stream, string name)
    {
        int number = 0;
        foreach (ReadOnlyMemory<byte> line in JsonLines.Lines(stream, name)) yield return Decode(line.Span, name, ++number);
    }

    private static string Decode(ReadOnlySpan<byte> line, string name, int number)
    {
        try
        {
            return s_strict.GetString(line is [.. var start, (byte)'\r'] ? start : line);
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException($"{name}, line {number}: the line is not valid UTF-8; convert the file first.", e);
        }
    }
}
