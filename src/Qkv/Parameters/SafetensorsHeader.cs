using System.Text.Json;
using System.Text.Unicode;

namespace Qkv.Parameters;

/// <summary>The JSON header of a safetensors file, checked: every byte after it belongs to exactly one tensor.</summary>
internal sealed class SafetensorsHeader
{
    /// <summary>Bytes of the header's length.</summary>
    public const int LengthSize = sizeof(ulong);

    /// <summary>The reference implementation's limit.</summary>
    public const int MaxLength = 100_000_000;

    public const string MetadataName = "__metadata__";

    // The header is an object of objects of arrays; a deeper one is hostile.
    private const int MaxDepth = 4;

    private readonly string _file;
    private readonly Dictionary<string, ParameterInfo> _parameters = [];
    private readonly Dictionary<string, long> _offsets = [];
    private readonly Dictionary<string, string> _metadata = [];
    private readonly List<Extent> _extents = [];

    private SafetensorsHeader(string file) => _file = file;

    public IReadOnlyDictionary<string, ParameterInfo> Parameters => _parameters;

    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Where each tensor's elements start in the file.</summary>
    public IReadOnlyDictionary<string, long> Offsets => _offsets;

    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, string file, long fileLength)
    {
        SafetensorsHeader header = new(file);
        if (json.IsEmpty || json[0] != '{')
        {
            BadFile.Throw(file, "its header does not start with '{'; it is no safetensors file.");
        }

        if (!Utf8.IsValid(json))
        {
            BadFile.Throw(file, "its header is not valid UTF-8.");
        }

        try
        {
            header.ReadEntries(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: an escaped half of a surrogate pair, or a value of another kind.
            throw BadFile.NotJson(file, "its header is not the JSON that safetensors asks for", e);
        }

        header.Place(LengthSize + json.Length, fileLength);
        return header;
    }

    private void ReadEntries(ReadOnlySpan<byte> json)
    {
        Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        HashSet<string> seen = [];
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            if (!seen.Add(name))
            {
                BadFile.Throw(_file, $"its header names {BadFile.Quote(name)} twice.");
            }

            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                BadFile.Throw(_file, $"the header's entry {BadFile.Quote(name)} is not an object.");
            }

            if (name == MetadataName)
            {
                ReadMetadata(ref reader);
            }
            else
            {
                ReadTensor(ref reader, name);
            }
        }

        // Only blanks may follow: anything else makes the reader throw.
        while (reader.Read())
        {
        }
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
            {
                BadFile.Throw(_file, $"the metadata entry {BadFile.Quote(key)} is not a text.");
            }

            _metadata[key] = reader.GetString()!;
        }
    }

    private void ReadTensor(ref Utf8JsonReader reader, string name)
    {
        string? type = null;
        long[]? shape = null;
        long[]? range = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string field = reader.GetString()!;
            reader.Read();
            bool repeated = false;
            switch (field)
            {
                case "dtype":
                    repeated = type is not null;
                    type = reader.GetString();
                    break;
                case "shape":
                    repeated = shape is not null;
                    shape = ReadIntegers(ref reader, name, field);
                    break;
                case "data_offsets":
                    repeated = range is not null;
                    range = ReadIntegers(ref reader, name, field);
                    break;
                default:
                    reader.Skip();
                    break;
            }

            if (repeated)
            {
                BadFile.Throw(_file, name, $"has {field} twice.");
            }
        }

        if (type is null || shape is null || range is not { Length: 2 })
        {
            BadFile.Throw(_file, name, "needs dtype, shape and two data_offsets.");
        }

        Add(name, type, shape, range[0], range[1]);
    }

    private long[] ReadIntegers(ref Utf8JsonReader reader, string name, string field)
    {
        List<long> integers = [];
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            BadFile.Throw(_file, $"{field} of tensor {BadFile.Quote(name)} is not an array.");
        }

        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long integer) || integer < 0)
            {
                BadFile.Throw(
                    _file,
                    $"{field} of tensor {BadFile.Quote(name)} holds something that is no integer from 0 to 2^63 - 1.");
                return [];
            }

            integers.Add(integer);
        }

        return [.. integers];
    }

    private void Add(string name, string typeName, long[] shape, long begin, long end)
    {
        if (!ElementTypes.TryParse(typeName, out ElementType type))
        {
            BadFile.Throw(_file, name, $"has dtype {BadFile.Quote(typeName)}; supported are {ElementTypes.Supported}.");
        }

        if (!ParameterInfo.TryCount(shape, type.Size(), out long count))
        {
            BadFile.Throw(_file, name, "has a shape with more elements than any file can hold.");
        }

        long bytes = count * type.Size();
        if (begin > end || end - begin != bytes)
        {
            BadFile.Throw(
                _file,
                name,
                $"has data_offsets {begin} to {end}, but {typeName} {ParameterInfo.Describe(shape)} takes {bytes} bytes.");
        }

        _parameters.Add(name, new ParameterInfo(name, type, shape, _file));
        _extents.Add(new Extent(name, begin, end));
    }

    /// <summary>In order of their offsets the tensors must follow each other without overlap or hole, up to the file's end.</summary>
    private void Place(long dataStart, long fileLength)
    {
        long available = fileLength - dataStart;
        long expected = 0;
        _extents.Sort(static (a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.End.CompareTo(b.End));
        foreach ((string name, long begin, long end) in _extents)
        {
            if (end > available)
            {
                BadFile.Throw(
                    _file,
                    name,
                    $"ends at byte {end} of the data, which has only {available}; " +
                    "the file is truncated or its header wrong.");
            }

            if (begin != expected)
            {
                string what = begin < expected ? "overlaps the tensor before it" : "leaves a hole before it";
                BadFile.Throw(_file, name, $"{what}: it starts at byte {begin} of the data, {expected} was expected.");
            }

            _offsets.Add(name, dataStart + begin);
            expected = end;
        }

        if (expected != available)
        {
            BadFile.Throw(_file, $"its tensors end at byte {expected} of the data, which has {available}.");
        }
    }

    /// <summary>Where a tensor's elements are, in bytes of the data.</summary>
    private sealed record Extent(string Name, long Begin, long End);
}
