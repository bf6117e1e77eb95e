using System.Buffers.Binary;
using System.Text;

namespace Qkv.Parameters;

/// <summary>
/// The zip file that <c>torch.save</c> writes: entries are stored, never compressed, so each is a range of the file
/// (PKWARE APPNOTE 6.3, with zip64). A compressed, encrypted or overlapping entry is refused: nothing is ever inflated.
/// </summary>
internal sealed class TorchArchive
{
    private const int EndSize = 22, Zip64LocatorSize = 20, Zip64EndSize = 56, CentralSize = 46, LocalSize = 30;

    // A checkpoint has a few hundred entries of under 100 bytes; this is room for a million.
    private const int MaxDirectorySize = 100_000_000;

    private readonly PositionedFile _file;
    private readonly Dictionary<string, Entry> _entries = [];
    private long _directoryStart;

    public TorchArchive(PositionedFile file)
    {
        _file = file;
        byte[] directory = ReadDirectory();
        int position = 0;
        while (position < directory.Length)
        {
            position += Add(directory.AsSpan(position));
        }

        RefuseOverlaps();
    }

    public IEnumerable<string> Names => _entries.Keys;

    /// <summary>Where an entry's bytes are in the file, its local header checked against the directory; null where there is none.</summary>
    public (long Start, long Length)? Find(string name)
    {
        if (!_entries.TryGetValue(name, out Entry entry))
        {
            return null;
        }

        Span<byte> local = stackalloc byte[LocalSize];
        _file.Read(entry.Header, local);
        int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(local[26..]);
        long start = entry.Header + LocalSize + nameLength + BinaryPrimitives.ReadUInt16LittleEndian(local[28..]);
        byte[] localName = new byte[nameLength];
        bool agrees = local.StartsWith("PK\x03\x04"u8)
            && BinaryPrimitives.ReadUInt16LittleEndian(local[8..]) == 0
            && start + entry.Length <= entry.Limit;
        if (agrees)
        {
            _file.Read(entry.Header + LocalSize, localName);
        }

        if (!agrees || Encoding.UTF8.GetString(localName) != name)
        {
            BadFile.Throw(
                _file.Path,
                $"the local header of entry {BadFile.Quote(name)} contradicts the archive's directory.");
        }

        return (start, entry.Length);
    }

    /// <summary>A whole small entry.</summary>
    public byte[] Read(string name, int limit)
    {
        (long start, long length) = Find(name) ?? throw BadFile.Because(
            _file.Path,
            $"the archive has no entry {BadFile.Quote(name)}.");
        if (length > limit)
        {
            BadFile.Throw(
                _file.Path,
                $"entry {BadFile.Quote(name)} has {length} bytes, more than the {limit} that such an entry may have.");
        }

        byte[] bytes = new byte[length];
        _file.Read(start, bytes);
        return bytes;
    }

    private byte[] ReadDirectory()
    {
        // The end record is followed by a comment of at most 65,535 bytes.
        byte[] tail = new byte[Math.Min(_file.Length, EndSize + ushort.MaxValue)];
        _file.Read(_file.Length - tail.Length, tail);
        int end = tail.AsSpan().LastIndexOf("PK\x05\x06"u8);
        if (end < 0 || end + EndSize > tail.Length)
        {
            BadFile.Throw(_file.Path, "the zip archive has no end record; the file is truncated.");
        }

        Span<byte> record = tail.AsSpan(end, EndSize);
        long endStart = _file.Length - tail.Length + end;
        ulong size = BinaryPrimitives.ReadUInt32LittleEndian(record[12..]);
        ulong start = BinaryPrimitives.ReadUInt32LittleEndian(record[16..]);
        if (end >= Zip64LocatorSize && tail.AsSpan(end - Zip64LocatorSize).StartsWith("PK\x06\x07"u8))
        {
            ReadOnlySpan<byte> locator = tail.AsSpan(end - Zip64LocatorSize, Zip64LocatorSize);
            (size, start, endStart) = ReadZip64End(BinaryPrimitives.ReadUInt64LittleEndian(locator[8..]));
        }

        if (size > MaxDirectorySize || start > (ulong)endStart || size > (ulong)endStart - start)
        {
            BadFile.Throw(_file.Path, $"the zip directory at byte {start} with {size} bytes does not fit into the file.");
        }

        _directoryStart = (long)start;
        byte[] directory = new byte[size];
        _file.Read(_directoryStart, directory);
        return directory;
    }

    private (ulong Size, ulong Start, long EndStart) ReadZip64End(ulong offset)
    {
        Span<byte> record = stackalloc byte[Zip64EndSize];
        if (_file.Length < Zip64EndSize || offset > (ulong)(_file.Length - Zip64EndSize))
        {
            BadFile.Throw(_file.Path, "the zip64 end record does not fit into the file.");
        }

        _file.Read((long)offset, record);
        if (!record.StartsWith("PK\x06\x06"u8))
        {
            BadFile.Throw(_file.Path, "the zip64 end record is not where the archive says it is.");
        }

        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(record[40..]);
        return (size, BinaryPrimitives.ReadUInt64LittleEndian(record[48..]), (long)offset);
    }

    /// <summary>Adds the directory's next entry and returns its size.</summary>
    private int Add(ReadOnlySpan<byte> record)
    {
        if (record.Length < CentralSize || !record.StartsWith("PK\x01\x02"u8))
        {
            BadFile.Throw(_file.Path, "the zip directory holds something that is no entry.");
        }

        int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(record[28..]);
        int extraLength = BinaryPrimitives.ReadUInt16LittleEndian(record[30..]);
        int whole = CentralSize + nameLength + extraLength + BinaryPrimitives.ReadUInt16LittleEndian(record[32..]);
        if (whole > record.Length)
        {
            BadFile.Throw(_file.Path, "the zip directory ends inside an entry.");
        }

        string name = Encoding.UTF8.GetString(record.Slice(CentralSize, nameLength));
        bool encrypted = (BinaryPrimitives.ReadUInt16LittleEndian(record[8..]) & 1) != 0;
        ulong compressed = BinaryPrimitives.ReadUInt32LittleEndian(record[20..]);
        ulong length = BinaryPrimitives.ReadUInt32LittleEndian(record[24..]);
        ulong header = BinaryPrimitives.ReadUInt32LittleEndian(record[42..]);
        ReadZip64Extra(record.Slice(CentralSize + nameLength, extraLength), ref length, ref compressed, ref header);
        if (encrypted || BinaryPrimitives.ReadUInt16LittleEndian(record[10..]) != 0 || compressed != length)
        {
            BadFile.Throw(
                _file.Path,
                $"entry {BadFile.Quote(name)} is compressed or encrypted; " +
                "torch.save stores entries as they are, and Qkv reads nothing else.");
        }

        if (header > (ulong)_directoryStart || length > (ulong)_directoryStart - header)
        {
            BadFile.Throw(
                _file.Path,
                $"entry {BadFile.Quote(name)} at byte {header} with {length} bytes does not fit into the file.");
        }

        if (!_entries.TryAdd(name, new Entry((long)header, (long)length, _directoryStart)))
        {
            BadFile.Throw(_file.Path, $"the archive holds entry {BadFile.Quote(name)} twice.");
        }

        return whole;
    }

    /// <summary>Field 1 holds, in this order, those of the three numbers whose 32 bits are all ones.</summary>
    private static void ReadZip64Extra(ReadOnlySpan<byte> extra, ref ulong length, ref ulong compressed, ref ulong header)
    {
        while (extra.Length >= 4)
        {
            int id = BinaryPrimitives.ReadUInt16LittleEndian(extra);
            int size = Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]), extra.Length - 4);
            if (id == 1)
            {
                ReadOnlySpan<byte> field = extra.Slice(4, size);
                Take(ref field, ref length);
                Take(ref field, ref compressed);
                Take(ref field, ref header);
                return;
            }

            extra = extra[(4 + size)..];
        }

        static void Take(ref ReadOnlySpan<byte> field, ref ulong value)
        {
            if (value == uint.MaxValue && field.Length >= sizeof(ulong))
            {
                value = BinaryPrimitives.ReadUInt64LittleEndian(field);
                field = field[sizeof(ulong)..];
            }
        }
    }

    /// <summary>Gives every entry its limit, the next one's header: ranges that overlap are how small files pretend to be large.</summary>
    private void RefuseOverlaps()
    {
        long limit = _directoryStart;
        foreach ((string name, Entry entry) in _entries.OrderByDescending(pair => pair.Value.Header).ToList())
        {
            if (entry.Header + LocalSize + entry.Length > limit)
            {
                BadFile.Throw(_file.Path, $"entry {BadFile.Quote(name)} overlaps the entry after it.");
            }

            _entries[name] = entry with { Limit = limit };
            limit = entry.Header;
        }
    }

    private readonly record struct Entry(long Header, long Length, long Limit);
}
