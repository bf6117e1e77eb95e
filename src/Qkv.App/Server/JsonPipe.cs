using System.IO.Pipelines;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;

namespace Qkv.App.Server;

/// <summary>
/// JSON written into a pipe as fast as its reader takes it, so that an answer is never in memory as a whole. What HTML could take for
/// a tag is escaped, so that the same JSON may stand in a page.
/// </summary>
internal sealed class JsonPipe(PipeWriter pipe, CancellationToken cancellation) : IDisposable
{
    // A multiple of 3, so that every segment but the last is whole groups of base64.
    private const int Segment = 3 << 14;

    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.Create(UnicodeRanges.All) };

    public Utf8JsonWriter Json { get; } = new(pipe, s_options);

    /// <summary>Waits until the reader has taken enough of what was written.</summary>
    public async ValueTask FlushAsync()
    {
        Json.Flush();
        FlushResult result = await pipe.FlushAsync(cancellation);
        if (result.IsCompleted) throw new OperationCanceledException("The reader has left.");
    }

    /// <summary><c>"name": {"shape": […], "data": float32}</c></summary>
    public async ValueTask WriteTensorAsync(string name, ReadOnlyMemory<float> numbers, IEnumerable<long> shape)
    {
        Json.WriteStartObject(name);
        Json.WriteShape(shape);
        await WriteDataAsync(numbers);
        Json.WriteEndObject();
    }

    /// <summary><c>"data"</c>: float32, little endian, as base64.</summary>
    public ValueTask WriteDataAsync(ReadOnlyMemory<float> numbers) => WriteBase64Async(numbers.Length * sizeof(float), numbers, static (all, start, count) => MemoryMarshal.AsBytes(all.Span).Slice(start, count));

    /// <summary><c>"data"</c>: bytes as base64.</summary>
    public ValueTask WriteDataAsync(ReadOnlyMemory<byte> bytes) => WriteBase64Async(bytes.Length, bytes, static (all, start, count) => all.Span.Slice(start, count));

    private delegate ReadOnlySpan<byte> Part<T>(ReadOnlyMemory<T> all, int start, int count);

    private async ValueTask WriteBase64Async<T>(int length, ReadOnlyMemory<T> all, Part<T> part)
    {
        Json.WritePropertyName("data"u8);
        int start = 0;
        do
        {
            int count = Math.Min(Segment, length - start);
            Json.WriteBase64StringSegment(part(all, start, count), start + count == length);
            start += count;
            await FlushAsync();
        }
        while (start < length);
    }

    public void Dispose() => Json.Dispose();
}
