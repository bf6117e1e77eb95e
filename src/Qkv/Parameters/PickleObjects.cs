namespace Qkv.Parameters;

/// <summary>
/// What a checkpoint's pickle may name and call. Every call makes a value of <c>PickleValues</c> and does nothing else; any
/// other name is refused.
/// </summary>
internal readonly struct PickleObjects(string file)
{
    // As many as NumPy has; PyTorch has no limit, and no model more than a few.
    private const int MaxDimensions = 64;

    public InvalidDataException Bad(string reason) => BadFile.Because(file, $"its pickle is refused: {reason}.");

    /// <summary>The meaning of a Python name.</summary>
    public object Global(string module, string name) => (module, name) switch
    {
        ("collections", "OrderedDict") => PickleGlobal.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => PickleGlobal.RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => PickleGlobal.RebuildParameter,
        ("torch", "DoubleStorage") => new PickleStorageType(ElementType.F64),
        ("torch", "FloatStorage") => new PickleStorageType(ElementType.F32),
        ("torch", "HalfStorage") => new PickleStorageType(ElementType.F16),
        ("torch", "BFloat16Storage") => new PickleStorageType(ElementType.BF16),
        ("torch", "LongStorage") => new PickleStorageType(ElementType.I64),
        ("torch", "IntStorage") => new PickleStorageType(ElementType.I32),
        ("torch", "ShortStorage") => new PickleStorageType(ElementType.I16),
        ("torch", "CharStorage") => new PickleStorageType(ElementType.I8),
        ("torch", "ByteStorage") => new PickleStorageType(ElementType.U8),
        ("torch", "BoolStorage") => new PickleStorageType(ElementType.Bool),
        _ => throw Bad(
            $"it names {BadFile.Quote($"{module}.{name}")}, which Qkv refuses to execute; " +
            "save tensors only, best as safetensors"),
    };

    /// <summary>The storage of a persistent id: ("storage", type, key, device, number of elements).</summary>
    public PickleStorage Storage(object? id) =>
        id is object?[] and ["storage", PickleStorageType { Type: var type }, string key, string, long count] && count >= 0
            ? new PickleStorage(type, key, count)
            : throw Bad("it refers to something outside that is no storage");

    /// <summary>The value of a call.</summary>
    public object Call(object? function, object? arguments) => (function, arguments) switch
    {
        (PickleGlobal.OrderedDict, object?[] { Length: 0 }) => new PickleDictionary(),
        (PickleGlobal.OrderedDict, object?[] and [List<object?> pairs]) => Ordered(pairs),
        (PickleGlobal.RebuildTensor, object?[] { Length: >= 6 } and [PickleStorage storage, long offset, object?[] shape, object?[] strides, ..]) =>
            new PickleTensor(storage, offset, Integers(shape), Integers(strides)),
        (PickleGlobal.RebuildParameter, object?[] and [PickleTensor tensor, ..]) => tensor,
        (PickleGlobal global, _) => throw Bad($"it calls {global} with arguments that torch.save never writes"),
        _ => throw Bad("it calls something that is no function"),
    };

    private PickleDictionary Ordered(List<object?> pairs)
    {
        PickleDictionary dictionary = new();
        foreach (object? pair in pairs)
        {
            (object? key, object? value) = pair switch
            {
                object?[] and [var k, var v] => (k, v),
                List<object?> and [var k, var v] => (k, v),
                _ => throw Bad("it makes an OrderedDict of something that is no pair"),
            };
            dictionary.Pairs.Add(new(key, value));
        }

        return dictionary;
    }

    private long[] Integers(object?[] values)
    {
        // Each of many tensors could name one long shape, and each would be checked.
        if (values.Length > MaxDimensions) throw Bad($"a tensor has {values.Length:N0} dimensions; {MaxDimensions} are the most there are");
        long[] integers = new long[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            integers[i] = values[i] is long integer ? integer : throw Bad("a shape or stride is no integer");
        }

        return integers;
    }
}
