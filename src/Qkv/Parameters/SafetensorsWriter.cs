using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace Qkv.Parameters;

/// <summary>Writes safetensors files that every other implementation reads.</summary>
public static class SafetensorsWriter
{
    /// <summary>
    /// Writes a file as a whole or not at all: under a temporary name beside it, flushed to the disk, then renamed.
    /// Tensors are laid out by falling element size, then by name, so that each is aligned to its elements.
    /// </summary>
    /// <exception cref="ArgumentException">A name or shape cannot be stored, or a tensor wrote another number of bytes than its shape says.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(
        string path, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        List<SafetensorsTensor> ordered =
            [.. tensors.OrderByDescending(tensor => tensor.Type.Size()).ThenBy(tensor => tensor.Name, StringComparer.Ordinal)];
        ReadOnlySpan<byte> header = Header(ordered, metadata);
        path = Target(path);
        string temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (FileStream stream = new(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                stream.Write(header);
                foreach (SafetensorsTensor tensor in ordered)
                {
                    WriteTensor(stream, tensor);
                }

                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e)
        {
            if (File.Exists(temporary)) File.Delete(temporary);
            // What went wrong is told of the file that was asked for.
            if (e.Message.Contains(temporary, StringComparison.Ordinal)) throw new IOException(e.Message.Replace(temporary, path, StringComparison.Ordinal), e.HResult);
            throw;
        }
    }

    /// <summary>What a link leads to is written, and the link stays. A device or a pipe would be replaced by a file: it is refused, and cannot be cut to a length.</summary>
    private static string Target(string path)
    {
        if (!File.Exists(path)) return path;
        string target = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path;
        if (new FileInfo(target) is not { Exists: true, Length: 0 }) return target;
        try
        {
            using FileStream existing = new(target, FileMode.Open, FileAccess.ReadWrite);
            existing.SetLength(0);
            return target;
        }
        catch (Exception e) when (e is IOException or NotSupportedException)
        {
            throw new IOException($"{path}: it is a device or a pipe, which a file would replace; name a file.", e);
        }
    }

    private static void WriteTensor(FileStream stream, SafetensorsTensor tensor)
    {
        long start = stream.Position;
        tensor.Write(stream);
        if (stream.Position - start != Bytes(tensor))
        {
            throw new ArgumentException(
                $"Tensor '{tensor.Name}' of {tensor.Type.StoredName()} {ParameterInfo.Describe(tensor.Shape)} " +
                $"takes {Bytes(tensor)} bytes, but {stream.Position - start} were written.");
        }
    }

    private static long Bytes(SafetensorsTensor tensor) =>
        ParameterInfo.TryCount(tensor.Shape, tensor.Type.Size(), out long count)
            ? count * tensor.Type.Size()
            : throw new ArgumentException(
                $"Tensor '{tensor.Name}' cannot have shape {ParameterInfo.Describe(tensor.Shape)}.");

    /// <summary>The header with its length before it, padded with blanks so that the data starts at a multiple of 8.</summary>
    private static ReadOnlySpan<byte> Header(List<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        ArrayBufferWriter<byte> buffer = new();
        buffer.GetSpan(SafetensorsHeader.LengthSize)[..SafetensorsHeader.LengthSize].Clear();
        buffer.Advance(SafetensorsHeader.LengthSize);
        using (Utf8JsonWriter json = new(buffer))
        {
            WriteEntries(json, tensors, metadata);
        }

        int padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(8)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        int length = buffer.WrittenCount - SafetensorsHeader.LengthSize;
        if (length > SafetensorsHeader.MaxLength)
        {
            throw new ArgumentException(
                $"The header takes {length} bytes; safetensors allows {SafetensorsHeader.MaxLength}.",
                nameof(tensors));
        }

        byte[] header = buffer.WrittenSpan.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)length);
        return header;
    }

    private static void WriteEntries(
        Utf8JsonWriter json, List<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        json.WriteStartObject();
        if (metadata is { Count: > 0 })
        {
            json.WriteStartObject(SafetensorsHeader.MetadataName);
            foreach ((string key, string value) in metadata)
            {
                json.WriteString(key, value);
            }

            json.WriteEndObject();
        }

        HashSet<string> names = [SafetensorsHeader.MetadataName];
        long offset = 0;
        foreach (SafetensorsTensor tensor in tensors)
        {
            if (!names.Add(tensor.Name))
            {
                throw new ArgumentException(
                    $"A tensor cannot be stored under the name '{tensor.Name}', which is taken.",
                    nameof(tensors));
            }

            json.WriteStartObject(tensor.Name);
            json.WriteString("dtype", tensor.Type.StoredName());
            json.WriteStartArray("shape");
            foreach (long size in tensor.Shape)
            {
                json.WriteNumberValue(size);
            }

            json.WriteEndArray();
            json.WriteStartArray("data_offsets");
            json.WriteNumberValue(offset);
            offset = checked(offset + Bytes(tensor));
            json.WriteNumberValue(offset);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }
}
