using System.Buffers.Binary;
using System.Text;

namespace Qkv.Parameters;

/// <summary>
/// Reads the pickle of a checkpoint (protocols 2 to 4). A pickle is a program for a small stack machine; this machine
/// knows containers, numbers, texts and tensors, and refuses every other name by name, so a file cannot run anything. Each
/// instruction takes at least one byte and makes at most one value: the pickle's size bounds the work and the memory.
/// </summary>
internal ref struct PickleReader
{
    private static readonly object Mark = new();
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly string _file;
    private readonly ReadOnlySpan<byte> _pickle;
    private readonly List<object?> _stack = [];
    private readonly Dictionary<uint, object?> _memo = [];
    private int _position;

    private PickleReader(ReadOnlySpan<byte> pickle, string file)
    {
        _pickle = pickle;
        _file = file;
    }

    /// <summary>The one value that the pickle makes.</summary>
    public static object? Read(ReadOnlySpan<byte> pickle, string file) => new PickleReader(pickle, file).Run();

    private object? Run()
    {
        while (true)
        {
            byte instruction = Take(1)[0];
            switch ((char)instruction)
            {
                case '.': return Pop();
                case '\x80': CheckProtocol(Take(1)[0]); break;
                case '\x95': Take(8); break;                                                    // FRAME
                case '(': _stack.Add(Mark); break;
                case '0': Pop(); break;
                case '1': PopToMark(); break;
                case 'N': Push(null); break;
                case '\x88': Push(true); break;
                case '\x89': Push(false); break;
                case 'K': Push((long)Take(1)[0]); break;
                case 'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
                case 'J': Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
                case '\x8a': Push(ReadLong(Take(1)[0])); break;
                case 'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
                case '\x8c' or 'U': Push(Text(Take(1)[0])); break;
                case 'X' or 'T': Push(Text(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)))); break;
                case '\x8d': Push(Text(BinaryPrimitives.ReadUInt64LittleEndian(Take(8)))); break;
                case 'q': _memo[Take(1)[0]] = Peek(); break;
                case 'r': _memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Peek(); break;
                case '\x94': _memo[(uint)_memo.Count] = Peek(); break;
                case 'h': Push(Recall(Take(1)[0])); break;
                case 'j': Push(Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)))); break;
                case ')': Push(Array.Empty<object?>()); break;
                case '\x85': Push(PopMany(1)); break;
                case '\x86': Push(PopMany(2)); break;
                case '\x87': Push(PopMany(3)); break;
                case 't': Push(PopToMark()); break;
                case ']': Push(new List<object?>()); break;
                case 'l': Push(PopToMark().ToList()); break;
                case 'a': Append(PopMany(1)); break;
                case 'e': Append(PopToMark()); break;
                case '}': Push(new PickleDictionary()); break;
                case 'd': MakeDictionary(PopToMark()); break;
                case 's': SetItems(PopMany(2)); break;
                case 'u': SetItems(PopToMark()); break;
                case 'c': Push(Global(Line(), Line())); break;
                case '\x93': PushGlobal(PopMany(2)); break;
                case 'Q': Push(Storage(Pop())); break;
                case 'R': Reduce(); break;
                case 'b': Build(); break;
                default:
                    throw Bad($"instruction 0x{instruction:x2} at byte {_position - 1} is none that torch.save writes");
            }
        }
    }

    private readonly InvalidDataException Bad(string reason) => BadFile.Because(_file, $"its pickle is refused: {reason}.");

    private readonly void CheckProtocol(byte protocol)
    {
        if (protocol is < 2 or > 4)
        {
            throw Bad($"it has protocol {protocol}; supported are 2 to 4");
        }
    }

    private ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)(_pickle.Length - _position))
        {
            throw Bad("it ends too early");
        }

        ReadOnlySpan<byte> taken = _pickle.Slice(_position, (int)count);
        _position += (int)count;
        return taken;
    }

    private string Text(ulong length)
    {
        try
        {
            return StrictUtf8.GetString(Take(length));
        }
        catch (DecoderFallbackException)
        {
            throw Bad($"the text before byte {_position} is not valid UTF-8");
        }
    }

    private string Line()
    {
        int length = _pickle[_position..].IndexOf((byte)'\n');
        if (length < 0)
        {
            throw Bad("it ends inside a name");
        }

        string line = Text((ulong)length);
        Take(1);
        return line;
    }

    private long ReadLong(int length)
    {
        ReadOnlySpan<byte> bytes = Take((ulong)length);
        if (length > sizeof(long))
        {
            throw Bad($"it holds an integer of {length} bytes; sizes and offsets have at most 8");
        }

        long value = 0;
        for (int i = length - 1; i >= 0; i--)
        {
            value = i == length - 1 ? (sbyte)bytes[i] : (value << 8) | bytes[i];
        }

        return value;
    }

    private readonly void Push(object? value) => _stack.Add(value);

    private readonly object? Peek() => _stack.Count > 0 && _stack[^1] != Mark ? _stack[^1] : throw Bad("it reads from an empty stack");

    private readonly object? Pop()
    {
        object? value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private readonly object?[] PopMany(int count)
    {
        object?[] values = new object?[count];
        for (int i = count - 1; i >= 0; i--)
        {
            values[i] = Pop();
        }

        return values;
    }

    private readonly object?[] PopToMark()
    {
        int mark = _stack.LastIndexOf(Mark);
        if (mark < 0)
        {
            throw Bad("it closes a list that it never opened");
        }

        object?[] values = [.. _stack[(mark + 1)..]];
        _stack.RemoveRange(mark, _stack.Count - mark);
        return values;
    }

    private readonly object? Recall(uint index) =>
        _memo.TryGetValue(index, out object? value) ? value : throw Bad($"it recalls value {index}, which it never stored");

    private readonly void Append(object?[] values) =>
        (Peek() as List<object?> ?? throw Bad("it appends to something that is no list")).AddRange(values);

    private readonly void MakeDictionary(object?[] items)
    {
        Push(new PickleDictionary());
        SetItems(items);
    }

    private readonly void SetItems(object?[] items)
    {
        if (Peek() is not PickleDictionary dictionary || items.Length % 2 != 0)
        {
            throw Bad("it sets items of something that is no dict");
        }

        for (int i = 0; i < items.Length; i += 2)
        {
            dictionary.Pairs.Add(new(items[i], items[i + 1]));
        }
    }

    private readonly void PushGlobal(object?[] names) =>
        Push(names is [string module, string name] ? Global(module, name) : throw Bad("it names a global by something that is no text"));

    private readonly object Global(string module, string name) => (module, name) switch
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
        _ => throw Bad($"it names {BadFile.Quote($"{module}.{name}")}, which Qkv refuses to execute; save tensors only, best as safetensors"),
    };

    private readonly PickleStorage Storage(object? id) =>
        id is object?[] and ["storage", PickleStorageType { Type: var type }, string key, string, long count] && count >= 0
            ? new PickleStorage(type, key, count)
            : throw Bad("it refers to something outside that is no storage");

    private readonly void Reduce()
    {
        object?[] call = PopMany(2);
        Push(call switch
        {
            [PickleGlobal.OrderedDict, object?[] { Length: 0 }] => new PickleDictionary(),
            [PickleGlobal.OrderedDict, object?[] and [List<object?> pairs]] => Ordered(pairs),
            [PickleGlobal.RebuildTensor, object?[] { Length: >= 6 } and [PickleStorage storage, long offset, object?[] shape, object?[] strides, ..]] =>
                new PickleTensor(storage, offset, Integers(shape), Integers(strides)),
            [PickleGlobal.RebuildParameter, object?[] and [PickleTensor tensor, ..]] => tensor,
            [PickleGlobal global, ..] => throw Bad($"it calls {global} with arguments that torch.save never writes"),
            _ => throw Bad("it calls something that is no function"),
        });
    }

    private readonly PickleDictionary Ordered(List<object?> pairs)
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

    private readonly long[] Integers(object?[] values)
    {
        long[] integers = new long[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            integers[i] = values[i] is long integer ? integer : throw Bad("a shape or stride is no integer");
        }

        return integers;
    }

    /// <summary>A module's state_dict carries attributes (its version numbers), which say nothing about the tensors.</summary>
    private readonly void Build()
    {
        Pop();
        if (Peek() is not PickleDictionary)
        {
            throw Bad("it sets attributes of something that is no dict");
        }
    }
}
