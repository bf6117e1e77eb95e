using System.IO.Compression;
using System.Text;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>The lines of a UTF-8 file, unpacked where its name ends in .gz. What is wrong with it is one sentence that names file and line.</summary>
internal static class TextLines
{
    private const string Packed = ".gz";

    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Each line without its end. Memory does not grow with the file.</summary>
    /// <exception cref="InvalidDataException">The file is a directory, a damaged .gz or not UTF-8.</exception>
    public static IEnumerable<string> Read(string path)
    {
        using FileStream file = Open(path);
        foreach (string line in Read(file, path)) yield return line;
    }

    /// <exception cref="InvalidDataException">It is a directory.</exception>
    public static FileStream Open(string path) => Directory.Exists(path) ? throw new InvalidDataException($"{path} is a directory; name a file.") : File.OpenRead(path);

    /// <summary>The lines of a file that is open, so that a caller sees how far it has been read.</summary>
    /// <exception cref="InvalidDataException">The file is a damaged .gz or not UTF-8.</exception>
    public static IEnumerable<string> Read(FileStream file, string path)
    {
        using Stream plain = NameWithoutPacking(path) == path ? file : new GZipStream(file, CompressionMode.Decompress, leaveOpen: true);
        using IEnumerator<ReadOnlyMemory<byte>> lines = JsonLines.Lines(plain, path).GetEnumerator();
        for (int number = 1; Next(lines, path, number); number++) yield return Decode(lines.Current.Span, path, number);
    }

    /// <summary>The path without .gz, which tells the format.</summary>
    public static string NameWithoutPacking(string path) => path.EndsWith(Packed, StringComparison.OrdinalIgnoreCase) ? path[..^Packed.Length] : path;

    /// <summary>Every refusal of a line has this form.</summary>
    public static InvalidDataException Bad(string path, int line, string reason, Exception? cause = null) => new($"{path}, line {line}: {reason}.", cause);

    private static bool Next(IEnumerator<ReadOnlyMemory<byte>> lines, string path, int number)
    {
        try
        {
            return lines.MoveNext();
        }
        catch (InvalidDataException e) when (!e.Message.StartsWith(path, StringComparison.Ordinal)) // of the stream, which knows no path
        {
            throw Bad(path, number, "from here on the .gz cannot be unpacked: it is cut off, damaged or no .gz at all; make it again", e);
        }
    }

    private static string Decode(ReadOnlySpan<byte> bytes, string path, int line)
    {
        try
        {
            return s_strict.GetString(bytes is [.. var content, (byte)'\r'] ? content : bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw Bad(path, line, "it is not valid UTF-8; convert the file", e);
        }
    }
}
