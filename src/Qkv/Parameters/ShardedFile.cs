using System.Text.Json;
using Qkv.Text;

namespace Qkv.Parameters;

/// <summary>
/// Parameters spread over several files of one directory, by an index (<c>model.safetensors.index.json</c> or
/// <c>pytorch_model.bin.index.json</c>) whose <c>weight_map</c> says which shard holds which tensor.
/// </summary>
public sealed class ShardedFile : ParameterFile
{
    // As large as a safetensors header may be; real indexes have a few hundred kilobytes.
    private const int MaxIndexSize = 100_000_000;

    private readonly Dictionary<string, ParameterFile> _shards = [];
    private readonly Dictionary<string, (ParameterFile Shard, ParameterInfo Parameter)> _owners = [];
    private readonly Dictionary<string, ParameterInfo> _parameters = [];

    /// <summary>Opens an index and all of its shards.</summary>
    /// <exception cref="InvalidDataException">The index or a shard is damaged, or they contradict each other.</exception>
    public ShardedFile(string indexPath)
        : base(indexPath)
    {
        try
        {
            foreach ((string tensor, string shard) in ReadWeightMap(indexPath))
            {
                Add(tensor, shard);
            }

            RefuseUnlisted();
        }
        catch
        {
            Dispose(true);
            throw;
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, ParameterInfo> Parameters => _parameters;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        foreach (ParameterFile shard in _shards.Values)
        {
            shard.Dispose();
        }
    }

    private protected override void ReadStored(ParameterInfo parameter, long start, Span<byte> destination) =>
        _owners[parameter.Name].Shard.ReadBytes(parameter.Name, start, destination);

    private static List<(string Tensor, string Shard)> ReadWeightMap(string path)
    {
        JsonDocumentOptions options = new() { MaxDepth = 8, AllowDuplicateProperties = false };
        try
        {
            using JsonDocument document = JsonDocument.Parse(TextFile.ReadBytes(path, MaxIndexSize), options);
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out JsonElement map)
                || map.ValueKind != JsonValueKind.Object)
            {
                throw BadFile.Because(path, "it has no object weight_map, which says which shard holds which tensor.");
            }

            List<(string, string)> pairs = [];
            foreach (JsonProperty entry in map.EnumerateObject())
            {
                if (entry.Value.ValueKind != JsonValueKind.String)
                {
                    BadFile.Throw(path, $"weight_map gives no file name for tensor {BadFile.Quote(entry.Name)}.");
                }

                pairs.Add((entry.Name, entry.Value.GetString()!));
            }

            return pairs;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw BadFile.NotJson(path, "it is not the JSON of an index", e);
        }
    }

    private void Add(string tensor, string shardName)
    {
        if (!_shards.TryGetValue(shardName, out ParameterFile? shard))
        {
            _shards.Add(shardName, shard = OpenShard(tensor, shardName));
        }

        if (!shard.Parameters.TryGetValue(tensor, out ParameterInfo? parameter))
        {
            throw BadFile.Because(Path, tensor, $"should be in shard {BadFile.Quote(shardName)}, which does not hold it.");
        }

        _owners.Add(tensor, (shard, parameter));
        _parameters.Add(tensor, parameter);
    }

    /// <summary>Opens a shard by a plain name beside the index; a name that leads elsewhere, or to another index, is refused.</summary>
    private ParameterFile OpenShard(string tensor, string name)
    {
        bool safetensors = name.EndsWith(".safetensors", StringComparison.Ordinal);
        bool plain = name.AsSpan().IndexOfAny("/\\:\0") < 0 && (safetensors || name.EndsWith(".bin", StringComparison.Ordinal));
        if (!plain)
        {
            BadFile.Throw(
                Path,
                $"weight_map puts tensor {BadFile.Quote(tensor)} into {BadFile.Quote(name)}; " +
                "a shard is a plain name of a .safetensors or .bin file beside the index.");
        }

        string path = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!, name);
        if (!File.Exists(path))
        {
            BadFile.Throw(Path, $"shard {BadFile.Quote(name)} is missing; download it beside the index.");
        }

        return safetensors ? new SafetensorsFile(path) : new TorchFile(path);
    }

    private void RefuseUnlisted()
    {
        foreach ((string name, ParameterFile shard) in _shards)
        {
            string? extra = shard.Parameters.Keys.FirstOrDefault(tensor => _owners.GetValueOrDefault(tensor).Shard != shard);
            if (extra is not null)
            {
                BadFile.Throw(
                    Path,
                    $"shard {BadFile.Quote(name)} holds tensor {BadFile.Quote(extra)}, " +
                    "which weight_map does not put there.");
            }
        }
    }
}
