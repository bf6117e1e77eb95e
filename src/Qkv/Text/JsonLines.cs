using System.Text;
using System.Text.Json;

namespace Qkv.Text;

/// <summary>A row of input: a text, and the second text of a pair where there is one.</summary>
/// <param name="Text">The text.</param>
/// <param name="Pair">The second text, or null.</param>
/// <param name="Line">Its line in the file, from 1.</param>
public readonly record struct TextRow(string Text, string? Pair, int Line);

/// <summary>
/// Reads JSON Lines of texts: every line a string, or an object with <c>text</c> and optionally <c>pair</c> (further members are
/// passed over). Escapes of lone surrogates (<c>\ud800</c>), which System.Text.Json refuses, become lone surrogates.
/// </summary>
public static class JsonLines
{
    private const int LongestLine = 256 << 20;

    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <summary>The rows of a file, one at a time; blank lines are none.</summary>
    /// <exception cref="InvalidDataException">A line is not valid UTF-8, JSON or such a row; names file and line.</exception>
    public static IEnumerable<TextRow> Read(string path)
    {
        using FileStream file = File.OpenRead(path);
        foreach (TextRow row in Read(file, path))
        {
            yield return row;
        }
    }

    /// <summary>The rows of a stream that errors call <paramref name="name"/>.</summary>
    /// <exception cref="InvalidDataException">A line is not valid UTF-8, JSON or such a row; names file and line.</exception>
    public static IEnumerable<TextRow> Read(Stream stream, string name)
    {
        int number = 0;
        foreach (ReadOnlyMemory<byte> line in Lines(stream, name))
        {
            number++;
            if (line.Span.ContainsAnyExcept(" \t\r"u8))
            {
                yield return Parse(line.Span, name, number);
            }
        }
    }

    private static TextRow Parse(ReadOnlySpan<byte> line, string name, int number)
    {
        try
        {
            var reader = new Utf8JsonReader(line);
            reader.Read();
            if (reader.TokenType == JsonTokenType.String)
            {
                var row = new TextRow(Unescape(ref reader), null, number);
                reader.Read();   // Anything behind the row is an error of the reader.
                return row;
            }
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                throw new FormatException($"expected a string or an object, found {reader.TokenType}");
            }
            string? text = null, pair = null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool isText = reader.ValueTextEquals("text"u8), isPair = reader.ValueTextEquals("pair"u8);
                reader.Read();
                if ((isText || isPair) && reader.TokenType is not (JsonTokenType.String or JsonTokenType.Null))
                {
                    throw new FormatException($"expected \"{(isText ? "text" : "pair")}\" to be a string, found {reader.TokenType}");
                }
                string? value = (isText || isPair) && reader.TokenType == JsonTokenType.String ? Unescape(ref reader) : null;
                (text, pair) = (isText ? value : text, isPair ? value : pair);
                reader.Skip();
            }
            reader.Read();
            return new TextRow(text ?? throw new FormatException("expected a member \"text\", found none"), pair, number);
        }
        catch (Exception e) when (e is JsonException or FormatException or DecoderFallbackException or InvalidOperationException)
        {
            string reason = e switch
            {
                DecoderFallbackException => "the line is not valid UTF-8",
                JsonException => JsonMistake.Reason(e),
                _ => e.Message,
            };
            throw new InvalidDataException($"{name}, line {number}: {reason}.", e);
        }
    }

    /// <summary>The value of a JSON string token, halves of surrogate pairs kept.</summary>
    private static string Unescape(ref Utf8JsonReader reader)
    {
        string raw = s_strict.GetString(reader.ValueSpan);
        if (!reader.ValueIsEscaped)
        {
            return raw;
        }
        var text = new StringBuilder(raw.Length);
        for (int i = 0; i < raw.Length; i++)
        {
            if (raw[i] != '\\')
            {
                text.Append(raw[i]);
                continue;
            }
            // The reader has checked that the escape is one of these and complete.
            char kind = raw[++i];
            text.Append(kind switch
            {
                'b' => '\b',
                'f' => '\f',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => (char)Convert.ToInt32(raw.Substring(i + 1, 4), 16),
                _ => kind,
            });
            i += kind == 'u' ? 4 : 0;
        }
        return text.ToString();
    }

    /// <summary>The lines of a stream as bytes, without their ends (\n) and without a byte order mark before the first; each until the next is asked for.</summary>
    internal static IEnumerable<ReadOnlyMemory<byte>> Lines(Stream stream, string name)
    {
        byte[] buffer = new byte[1 << 16];
        int start = 0, end = 0, seen = 0;
        for (bool more = true, first = true; ;)
        {
            int length = buffer.AsSpan(seen, end - seen).IndexOf((byte)'\n');
            if (length < 0 && more)
            {
                seen = end - start;
                buffer.AsSpan(start, seen).CopyTo(buffer);
                (start, end) = (0, seen);
                if (end == buffer.Length)
                {
                    Array.Resize(ref buffer, end < LongestLine
                        ? 2 * end
                        : throw new InvalidDataException($"{name}: a line is longer than {LongestLine} bytes."));
                }
                int read = stream.Read(buffer, end, buffer.Length - end);
                (end, more) = (end + read, read > 0);
                continue;
            }
            int stop = length < 0 ? end : seen + length;
            int mark = first && buffer.AsSpan(start, stop - start).StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]) ? 3 : 0;
            first = false;
            if (length < 0 && stop == start)
            {
                yield break;
            }
            yield return buffer.AsMemory(start + mark, stop - start - mark);
            if (length < 0)
            {
                yield break;
            }
            start = seen = stop + 1;
        }
    }
}
