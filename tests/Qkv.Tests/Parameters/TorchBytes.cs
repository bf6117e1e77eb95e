using System.Buffers.Binary;
using System.Text;

namespace Qkv.Tests.Parameters;

/// <summary>Zip archives and pickles as torch.save writes them, and wrong ones.</summary>
internal static class TorchBytes
{
    public readonly record struct Entry(string Name, byte[] Bytes)
    {
        public ushort Method { get; init; }

        public ushort Flags { get; init; }

        public uint? Compressed { get; init; }

        public uint? Length { get; init; }

        public uint? Header { get; init; }

        public string? LocalName { get; init; }

        public byte[] Extra { get; init; } = [];
    }

    /// <summary>A checkpoint with one storage "0" and the pickle given.</summary>
    public static byte[] Checkpoint(byte[] pickle, byte[] storage) =>
        Zip([new("x/data.pkl", pickle), new("x/data/0", storage), new("x/version", "3\n"u8.ToArray())]);

    public static byte[] Zip(IEnumerable<Entry> entries, bool zip64 = false)
    {
        MemoryStream file = new(), directory = new();
        int count = 0;
        foreach (Entry entry in entries)
        {
            uint start = (uint)file.Length;
            byte[] name = Encoding.UTF8.GetBytes(entry.Name), localName = Encoding.UTF8.GetBytes(entry.LocalName ?? entry.Name);
            byte[] extra = entry.Extra;
            uint compressed = entry.Compressed ?? (uint)entry.Bytes.Length, length = entry.Length ?? (uint)entry.Bytes.Length, header = entry.Header ?? start;
            if (zip64)
            {
                extra = [7, 0, 1, 0, 9, 1, 0, 24, 0, .. Little(length, 8), .. Little(compressed, 8), .. Little(header, 8)];
                (compressed, length, header) = (uint.MaxValue, uint.MaxValue, uint.MaxValue);
            }

            file.Write([.. "PK\x03\x04"u8, 0, 0, .. Little(entry.Flags, 2), .. Little(entry.Method, 2), .. new byte[16], .. Little((ulong)localName.Length, 2), 2, 0, .. localName, 0, 0]);
            file.Write(entry.Bytes);
            directory.Write([.. "PK\x01\x02"u8, 0, 0, 0, 0, .. Little(entry.Flags, 2), .. Little(entry.Method, 2), .. new byte[8], .. Little(compressed, 4), .. Little(length, 4)]);
            directory.Write([.. Little((ulong)name.Length, 2), .. Little((ulong)extra.Length, 2), .. new byte[10], .. Little(header, 4), .. name, .. extra]);
            count++;
        }

        ulong directoryStart = (ulong)file.Length, size = (ulong)directory.Length;
        directory.WriteTo(file);
        if (zip64)
        {
            ulong end = (ulong)file.Length;
            file.Write([.. "PK\x06\x06"u8, .. Little(44, 8), .. new byte[12], .. Little((ulong)count, 8), .. Little((ulong)count, 8), .. Little(size, 8), .. Little(directoryStart, 8)]);
            file.Write([.. "PK\x06\x07"u8, 0, 0, 0, 0, .. Little(end, 8), 1, 0, 0, 0]);
            (directoryStart, size, count) = (uint.MaxValue, uint.MaxValue, ushort.MaxValue);
        }

        file.Write([.. "PK\x05\x06"u8, 0, 0, 0, 0, .. Little((ulong)count, 2), .. Little((ulong)count, 2), .. Little(size, 4), .. Little(directoryStart, 4), 0, 0]);
        return file.ToArray();
    }

    /// <summary>Instructions as bytes: a text stands for its Latin-1 characters.</summary>
    public static byte[] Pickle(params object[] parts)
    {
        MemoryStream pickle = new();
        pickle.Write([0x80, 2]);
        foreach (object part in parts)
        {
            pickle.Write(part as byte[] ?? Encoding.Latin1.GetBytes((string)part));
        }

        pickle.WriteByte((byte)'.');
        return pickle.ToArray();
    }

    public static byte[] Unicode(string text) => [(byte)'X', .. Little((ulong)Encoding.UTF8.GetByteCount(text), 4), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] Integer(long value) => [0x8a, 8, .. Little((ulong)value, 8)];

    public static byte[] Tuple(params long[] values) => [(byte)'(', .. values.SelectMany(Integer), (byte)'t'];

    /// <summary>A tensor in storage "0".</summary>
    public static byte[] Tensor(long elements, long offset, long[] shape, long[] strides, string storage = "FloatStorage", string key = "0") =>
    [
        .. "ctorch._utils\n_rebuild_tensor_v2\n(("u8, .. Unicode("storage"), .. Encoding.ASCII.GetBytes($"ctorch\n{storage}\n"), .. Unicode(key), .. Unicode("cpu"), .. Integer(elements), .. "tQ"u8,
        .. Integer(offset), .. Tuple(shape), .. Tuple(strides), 0x89, .. "ccollections\nOrderedDict\n)RtR"u8,
    ];

    /// <summary>A dict of one tensor "a".</summary>
    public static byte[] One(byte[] tensor) => Pickle("}", Unicode("a"), tensor, "s");

    private static byte[] Little(ulong value, int size)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return bytes[..size];
    }
}
