using System.Buffers.Binary;

namespace Qkv.Parameters;

/// <summary>
/// A safetensors file: the length of a JSON header (u64, little endian), the header, then the elements
/// (https://github.com/huggingface/safetensors). The header is checked as the reference implementation checks it.
/// </summary>
public sealed class SafetensorsFile : ParameterFile
{
    private readonly PositionedFile _file;
    private readonly SafetensorsHeader _header;

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="InvalidDataException">The header does not describe the file.</exception>
    public SafetensorsFile(string path)
        : base(path)
    {
        _file = new PositionedFile(path);
        try
        {
            _header = ReadHeader();
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, ParameterInfo> Parameters => _header.Parameters;

    /// <summary>The header's free text entries, empty where it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    private protected override void ReadStored(ParameterInfo parameter, long start, Span<byte> destination) =>
        _file.Read(_header.Offsets[parameter.Name] + (start * parameter.Type.Size()), destination);

    private SafetensorsHeader ReadHeader()
    {
        if (_file.Length < SafetensorsHeader.LengthSize)
        {
            BadFile.Throw(Path, $"it has {_file.Length} bytes; a safetensors file starts with a header length of 8 bytes.");
        }

        Span<byte> prefix = stackalloc byte[SafetensorsHeader.LengthSize];
        _file.Read(0, prefix);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > SafetensorsHeader.MaxLength)
        {
            BadFile.Throw(
                Path,
                $"its header length is {length}, " +
                $"more than the {SafetensorsHeader.MaxLength} that safetensors allows; it is damaged or no safetensors file.");
        }

        if ((long)length > _file.Length - SafetensorsHeader.LengthSize)
        {
            BadFile.Throw(
                Path,
                $"its header length is {length}, but the file has only {_file.Length} bytes; it is truncated.");
        }

        byte[] json = new byte[length];
        _file.Read(SafetensorsHeader.LengthSize, json);
        return SafetensorsHeader.Parse(json, Path, _file.Length);
    }
}
