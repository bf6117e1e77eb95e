using System.Buffers.Binary;
using System.Text;

namespace Qkv.Parameters;

/// <summary>
/// Reads the pickle of a checkpoint (protocols 2 to 4). A pickle is a program for a small stack machine; this machine
/// knows containers, numbers, texts and tensors, and refuses every other name by name, so a file cannot run anything. Each
/// instruction takes at least one byte and makes at most one value, and what calls copy is counted: the pickle's size bounds the work and the memory.
/// </summary>
internal ref struct PickleReader
{
    private static readonly object Mark = new();
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly PickleObjects _objects;
    private readonly ReadOnlySpan<byte> _pickle;
    private readonly List<object?> _stack = [];
    // Sorted, as numbers of a file's choice could all fall into one place of a hash table.
    private readonly SortedDictionary<uint, object?> _memo = [];
    private int _position, _copied;

    private PickleReader(ReadOnlySpan<byte> pickle, string file)
    {
        _pickle = pickle;
        _objects = new PickleObjects(file);
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
                case 'c': Push(_objects.Global(Line(), Line())); break;
                case '\x93': PushGlobal(PopMany(2)); break;
                case 'Q': Push(_objects.Storage(Pop())); break;
                case 'R': Call(); break;
                case 'b': Build(); break;
                default:
                    throw Bad($"instruction 0x{instruction:x2} at byte {_position - 1} is none that torch.save writes");
            }
        }
    }

    private readonly InvalidDataException Bad(string reason) => _objects.Bad(reason);

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

    private readonly object? Peek() =>
        _stack.Count > 0 && _stack[^1] != Mark ? _stack[^1] : throw Bad("it reads from an empty stack");

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
        Push(names is [string module, string name]
            ? _objects.Global(module, name)
            : throw Bad("it names a global by something that is no text"));

    private void Call()
    {
        object?[] call = PopMany(2);
        object value = _objects.Call(call[0], call[1]);
        if (value is PickleDictionary { Pairs.Count: var pairs } && (_copied += pairs) > _pickle.Length) throw Bad("it copies one list again and again");
        Push(value);
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
