namespace Qkv.Parameters;

/// <summary>The names that a checkpoint's pickle may mention. Reading one has no effect but the value it stands for.</summary>
internal enum PickleGlobal
{
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
}

/// <summary>A storage class of PyTorch, as the type of its elements.</summary>
internal sealed record PickleStorageType(ElementType Type);

/// <summary>A block of elements of one type: an entry <c>data/Key</c> of the archive.</summary>
internal sealed record PickleStorage(ElementType Type, string Key, long Count);

/// <summary>A tensor as PyTorch keeps it: a strided view of a storage. Offset and strides count elements.</summary>
internal sealed record PickleTensor(PickleStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>
/// A dict: pairs in the order they were set. It is not hashed, so that no choice of keys is slow; a key set twice has
/// the later value.
/// </summary>
internal sealed class PickleDictionary
{
    public List<KeyValuePair<object?, object?>> Pairs { get; } = [];

    /// <summary>The pairs whose key is a text.</summary>
    public Dictionary<string, object?> ByName()
    {
        Dictionary<string, object?> named = [];
        foreach ((object? key, object? value) in Pairs)
        {
            if (key is string name)
            {
                named[name] = value;
            }
        }

        return named;
    }
}
