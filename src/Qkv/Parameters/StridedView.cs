using System.Runtime.InteropServices;

namespace Qkv.Parameters;

/// <summary>A tensor in a storage: element (i, j, …) is at offset + i·strides[0] + j·strides[1] + …, counted in elements.</summary>
internal sealed class StridedView
{
    private readonly int _elementSize;
    private readonly long[] _shape;
    private readonly long[] _strides;
    private readonly long _count;
    private readonly long _start;
    private readonly long _span;
    private readonly string _name;

    private StridedView(PickleTensor tensor, long storageStart, long count, long last, string name)
    {
        _name = name;
        _shape = tensor.Shape;
        _strides = tensor.Strides;
        _elementSize = tensor.Storage.Type.Size();
        _count = count;
        _start = storageStart + (tensor.Offset * _elementSize);
        _span = count == 0 ? 0 : last - tensor.Offset + 1;
        IsContiguous = Contiguous();
    }

    /// <summary>Whether the elements follow each other in row-major order.</summary>
    public bool IsContiguous { get; }

    /// <summary>A view whose every element is inside its storage.</summary>
    /// <exception cref="InvalidDataException">It is not.</exception>
    public static StridedView Check(PickleTensor tensor, long storageStart, string name, string file)
    {
        (PickleStorage storage, long offset, long[] shape, long[] strides) = tensor;
        if (shape.Length != strides.Length || offset < 0 || offset > storage.Count
            || shape.Any(size => size < 0) || strides.Any(stride => stride < 0)
            || !ParameterInfo.TryCount(shape, storage.Type.Size(), out long count))
        {
            throw BadFile.Because(
                file,
                name,
                $"has shape {ParameterInfo.Describe(shape)}, " +
                $"strides {ParameterInfo.Describe(strides)} and offset {offset}, which make no view.");
        }

        Int128 last = offset;
        for (int i = 0; i < shape.Length; i++)
        {
            last += (Int128)Math.Max(0, shape[i] - 1) * strides[i];
        }

        // A view may not repeat elements either (stride 0): a small file would pretend to be a large one.
        if (count > 0 && (last >= storage.Count || count > storage.Count))
        {
            throw BadFile.Because(
                file,
                name,
                $"with shape {ParameterInfo.Describe(shape)} and strides {ParameterInfo.Describe(strides)} " +
                $"reaches outside its storage of {storage.Count} elements.");
        }

        return new StridedView(tensor, storageStart, count, (long)last, name);
    }

    public void ReadContiguous(PositionedFile file, long start, Span<byte> destination) =>
        file.Read(_start + (start * _elementSize), destination);

    /// <summary>The elements in row-major order.</summary>
    public byte[] Gather(PositionedFile file)
    {
        if (_span > Array.MaxLength / _elementSize)
        {
            BadFile.Throw(file.Path, _name, "is strided and larger than 2 GiB; save it again after .contiguous().");
        }

        byte[] storage = new byte[_span * _elementSize];
        byte[] elements = new byte[_count * _elementSize];
        file.Read(_start, storage);
        switch (_elementSize)
        {
            case 1: Gather<byte>(storage, elements); break;
            case 2: Gather<ushort>(storage, elements); break;
            case 4: Gather<uint>(storage, elements); break;
            default: Gather<ulong>(storage, elements); break;
        }

        return elements;
    }

    private void Gather<T>(ReadOnlySpan<byte> storageBytes, Span<byte> elementBytes)
        where T : unmanaged
    {
        ReadOnlySpan<T> storage = MemoryMarshal.Cast<byte, T>(storageBytes);
        Span<T> elements = MemoryMarshal.Cast<byte, T>(elementBytes);
        long[] index = new long[_shape.Length];
        long position = 0;
        for (int i = 0; i < elements.Length; i++)
        {
            elements[i] = storage[(int)position];

            // Advance like an odometer: the last index first, and a full one returns to 0.
            for (int axis = _shape.Length - 1; axis >= 0; axis--)
            {
                position += _strides[axis];
                if (++index[axis] < _shape[axis])
                {
                    break;
                }

                position -= _shape[axis] * _strides[axis];
                index[axis] = 0;
            }
        }
    }

    private bool Contiguous()
    {
        long expected = 1;
        for (int axis = _shape.Length - 1; axis >= 0; axis--)
        {
            // The stride of an axis of one element is never used.
            if (_shape[axis] != 1 && _strides[axis] != expected && _count != 0)
            {
                return false;
            }

            expected *= _shape[axis];
        }

        return true;
    }
}
