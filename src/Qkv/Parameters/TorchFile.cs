using System.Collections.Concurrent;
using System.Text;

namespace Qkv.Parameters;

/// <summary>
/// A checkpoint of <c>torch.save</c> (<c>pytorch_model.bin</c>, .pt, .pth): a zip file of raw storages and a pickle that says
/// which tensor views which storage. The pickle is read, never executed.
/// </summary>
public sealed class TorchFile : ParameterFile
{
    // The pickle of BERT-large has 70 kB.
    private const int MaxPickleSize = 64 << 20;

    // Tied tensors share a storage, so the tensors may be more than the file; 64 times is more than any tying explains.
    private const int MaxViewedFileSizes = 64;

    private readonly PositionedFile _file;
    private readonly Dictionary<string, ParameterInfo> _parameters = [];
    private readonly Dictionary<string, StridedView> _views = [];
    private readonly ConcurrentDictionary<string, Lazy<byte[]>> _gathered = [];

    /// <summary>Opens a file, reads its pickle and checks every tensor against its storage.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, in the format before PyTorch 1.6, or wants to execute something.</exception>
    public TorchFile(string path)
        : base(path)
    {
        _file = new PositionedFile(path);
        try
        {
            ReadTensors();
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, ParameterInfo> Parameters => _parameters;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _file.Dispose();
        _gathered.Clear();
    }

    private protected override void ReadStored(ParameterInfo parameter, long start, Span<byte> destination)
    {
        StridedView view = _views[parameter.Name];
        if (view.IsContiguous)
        {
            view.ReadContiguous(_file, start, destination);
            return;
        }

        // A transposed matrix is read as a whole, once: its rows are spread over all of it.
        Lazy<byte[]> elements = _gathered.GetOrAdd(parameter.Name, _ => new Lazy<byte[]>(() => view.Gather(_file)));
        elements.Value.AsSpan((int)(start * parameter.Type.Size()), destination.Length).CopyTo(destination);
    }

    private void ReadTensors()
    {
        Span<byte> magic = stackalloc byte[4];
        _file.Read(0, magic[..(int)Math.Min(4, _file.Length)]);
        if (!magic.SequenceEqual("PK\x03\x04"u8))
        {
            BadFile.Throw(Path, magic[0] == 0x80
                ? "it is in PyTorch's format from before version 1.6; " +
                    "load it with torch.load and save it again with safetensors.torch.save_file or torch.save."
                : "it is no checkpoint of torch.save, which is a zip file.");
        }

        TorchArchive archive = new(_file);
        string root = FindRoot(archive);
        CheckByteOrder(archive, root + "byteorder");
        object? value = PickleReader.Read(archive.Read(root + "data.pkl", MaxPickleSize), Path);
        long bytes = 0;
        foreach ((string name, object? item) in StateDictionary(value))
        {
            if (item is PickleTensor tensor)
            {
                Add(archive, root, name, tensor);
                bytes += _parameters[name].Count * _parameters[name].Type.Size();
            }

            if (bytes / MaxViewedFileSizes > _file.Length)
            {
                BadFile.Throw(
                    Path,
                    $"its tensors have over {bytes} bytes in a file of {_file.Length}; sharing of storages does not explain that.");
            }
        }
    }

    private string FindRoot(TorchArchive archive)
    {
        // torch.save puts everything into one folder, usually named like the file.
        List<string> pickles = [.. archive.Names.Where(name => name.Split('/') is ["data.pkl"] or [_, "data.pkl"])];
        return pickles is [string only]
            ? only[..^"data.pkl".Length]
            : throw BadFile.Because(
                Path,
                $"it is no checkpoint of torch.save: the archive has {pickles.Count} entries data.pkl, one was expected.");
    }

    private void CheckByteOrder(TorchArchive archive, string entry)
    {
        string order = archive.Find(entry) is null ? "little" : Encoding.UTF8.GetString(archive.Read(entry, limit: 64));
        if (order != "little")
        {
            BadFile.Throw(
                Path,
                $"its byte order is {BadFile.Quote(order)}; " +
                "supported is 'little': save it again on a little-endian machine.");
        }
    }

    /// <summary>The tensors themselves, or those of the one nested state_dict of a training checkpoint.</summary>
    private Dictionary<string, object?> StateDictionary(object? value)
    {
        if (value is not PickleDictionary dictionary)
        {
            throw BadFile.Because(Path, "it holds no dict of tensors.");
        }

        Dictionary<string, object?> outer = dictionary.ByName();
        List<Dictionary<string, object?>> choices = [];
        Dictionary<string, object?>?[] candidates = [outer, Nested("state_dict"), Nested("model")];
        foreach (Dictionary<string, object?>? choice in candidates)
        {
            if (choice is not null && choice.Values.Any(item => item is PickleTensor))
            {
                choices.Add(choice);
            }
        }

        return choices switch
        {
            [var only] => only,
            [] => throw BadFile.Because(Path, "it holds no tensors, neither itself nor in 'state_dict' or 'model'."),
            _ => throw BadFile.Because(
                Path,
                "it holds tensors in more than one of itself, 'state_dict' and 'model'; " +
                "save the one state_dict that is meant."),
        };

        Dictionary<string, object?>? Nested(string key) => (outer.GetValueOrDefault(key) as PickleDictionary)?.ByName();
    }

    private void Add(TorchArchive archive, string root, string name, PickleTensor tensor)
    {
        PickleStorage storage = tensor.Storage;
        string entry = $"{root}data/{storage.Key}";
        (long start, long length) = archive.Find(entry)
            ?? throw BadFile.Because(Path, name, $"needs entry {BadFile.Quote(entry)}, which the archive does not have.");
        if (storage.Count > length / storage.Type.Size())
        {
            BadFile.Throw(
                Path,
                name,
                $"needs {storage.Count} elements of {storage.Type.StoredName()} in entry {BadFile.Quote(entry)}, " +
                $"which has only {length} bytes.");
        }

        _views.Add(name, StridedView.Check(tensor, start, name, Path));
        _parameters.Add(name, new ParameterInfo(name, storage.Type, tensor.Shape, Path));
    }
}
