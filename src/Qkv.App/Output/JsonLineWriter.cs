using System.Buffers;
using System.Text.Json;

namespace Qkv.App.Output;

/// <summary>Writes JSON values, each on a line of its own.</summary>
internal sealed class JsonLineWriter(Stream output) : IDisposable
{
    private readonly ArrayBufferWriter<byte> _line = new();
    private readonly Utf8JsonWriter _json = new(Stream.Null, new JsonWriterOptions { Encoder = PlainJsonEncoder.Instance });

    /// <summary>Writes a line: what <paramref name="write"/> makes of <paramref name="value"/>.</summary>
    public void Write<T>(T value, Action<Utf8JsonWriter, T> write) where T : allows ref struct
    {
        _line.ResetWrittenCount();
        _json.Reset(_line);
        write(_json, value);
        _json.Flush();
        _line.Write("\n"u8);
        output.Write(_line.WrittenSpan);
    }

    public void Dispose() => _json.Dispose();

    /// <summary>Writes one line to a terminal.</summary>
    public static void Write<T>(Terminal terminal, T value, Action<Utf8JsonWriter, T> write)
    {
        terminal.Text.Flush();
        using var lines = new JsonLineWriter(terminal.Results);
        lines.Write(value, write);
    }
}
