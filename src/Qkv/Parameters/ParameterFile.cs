using System.Buffers;
using System.Runtime.InteropServices;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Parameters;

/// <summary>
/// Named tensors in a file (or in several that belong together), read piece by piece. Any number of threads may read at
/// once. What does not hold together is refused when the file is opened, with <see cref="InvalidDataException"/>.
/// </summary>
public abstract class ParameterFile : IDisposable
{
    // Spans of bytes end at 2 GiB, so longer reads are cut; 64 MiB is far past where a longer read would be any faster.
    private const int MaxElementsPerRead = 1 << 24;

    private protected ParameterFile(string path)
    {
        // Elements are little endian in every format, and are read straight into the caller's memory.
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("Qkv reads parameters on little-endian processors only.");
        }

        Path = path;
    }

    /// <summary>The path it was opened by: the index, where there are several files.</summary>
    public string Path { get; }

    /// <summary>Every tensor, by its stored name.</summary>
    public abstract IReadOnlyDictionary<string, ParameterInfo> Parameters { get; }

    /// <summary>
    /// Opens the parameters of a Hugging Face directory: the first that exists of <c>model.safetensors</c>,
    /// <c>model.safetensors.index.json</c>, <c>pytorch_model.bin</c> and <c>pytorch_model.bin.index.json</c>.
    /// </summary>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    /// <exception cref="InvalidDataException">None of the files exists, or the one that does is damaged.</exception>
    public static ParameterFile OpenDirectory(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        TextFile.CheckDirectory(directory);
        string[] names = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
        string? found = names.Select(name => System.IO.Path.Combine(directory, name)).FirstOrDefault(File.Exists);
        return found is null
            ? throw BadFile.Because(directory, $"it holds no parameters; looked for {string.Join(", ", names)}.")
            : Open(found);
    }

    /// <summary>Opens one file by the end of its name: .safetensors, .index.json (sharded), or .bin, .pt and .pth (PyTorch).</summary>
    /// <exception cref="InvalidDataException">The file is of no supported kind, or damaged.</exception>
    public static ParameterFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (path.EndsWith(".index.json", StringComparison.OrdinalIgnoreCase))
        {
            return new ShardedFile(path);
        }

        return System.IO.Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".safetensors" => new SafetensorsFile(path),
            ".bin" or ".pt" or ".pth" => new TorchFile(path),
            _ => throw BadFile.Because(
                path,
                "its name ends in none of .safetensors, .index.json, .bin, .pt and .pth, the kinds that Qkv reads."),
        };
    }

    /// <summary>
    /// Reads elements [start, start + destination.Length) in row-major order as float32: F32 as it is, F16 and BF16
    /// widened exactly, F64 rounded to nearest.
    /// </summary>
    /// <exception cref="ArgumentException">No such tensor, or a range outside it.</exception>
    /// <exception cref="InvalidDataException">The tensor is not of a floating-point type, or the file became shorter.</exception>
    public void Read(string name, long start, Span<float> destination)
    {
        ParameterInfo parameter = Locate(name, start, destination.Length);
        while (!destination.IsEmpty)
        {
            Span<float> part = destination[..Math.Min(destination.Length, MaxElementsPerRead)];
            ReadPart(parameter, start, part);
            start += part.Length;
            destination = destination[part.Length..];
        }
    }

    /// <summary>Reads elements [start, start + destination.Length) of an I64 tensor in row-major order.</summary>
    /// <inheritdoc cref="Read" path="/exception"/>
    public void ReadInt64(string name, long start, Span<long> destination)
    {
        ParameterInfo parameter = Locate(name, start, destination.Length);
        if (parameter.Type != ElementType.I64)
        {
            BadFile.Throw(parameter.File, name, $"is {parameter.Type.StoredName()}; I64 was expected.");
        }

        ReadBytes(name, start, MemoryMarshal.AsBytes(destination));
    }

    /// <summary>
    /// Reads elements from <paramref name="start"/> on as they are stored: row-major, contiguous, little endian. The
    /// destination's length is a whole number of elements.
    /// </summary>
    /// <exception cref="ArgumentException">No such tensor, a range outside it, or part of an element.</exception>
    /// <exception cref="InvalidDataException">The file became shorter since it was opened.</exception>
    public void ReadBytes(string name, long start, Span<byte> destination)
    {
        int size = Parameters.TryGetValue(name, out ParameterInfo? found) ? found.Type.Size() : 1;
        if (destination.Length % size != 0)
        {
            throw new ArgumentException(
                $"ReadBytes of '{name}': {destination.Length} bytes are no whole number of elements of {size} bytes.",
                nameof(destination));
        }

        ReadStored(Locate(name, start, destination.Length / size), start, destination);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the files.</summary>
    protected abstract void Dispose(bool disposing);

    /// <summary>Reads stored elements; the range has been checked.</summary>
    private protected abstract void ReadStored(ParameterInfo parameter, long start, Span<byte> destination);

    private ParameterInfo Locate(string name, long start, long count)
    {
        if (!Parameters.TryGetValue(name, out ParameterInfo? parameter))
        {
            throw new ArgumentException($"{Path} holds no tensor '{name}'.", nameof(name));
        }

        if (start < 0 || start > parameter.Count - count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(start),
                $"Elements {start} to {start + count} of '{name}' were asked for; it has {parameter.Count}.");
        }

        return parameter;
    }

    private void ReadPart(ParameterInfo parameter, long start, Span<float> destination)
    {
        switch (parameter.Type)
        {
            case ElementType.F32:
                ReadStored(parameter, start, MemoryMarshal.AsBytes(destination));
                break;
            case ElementType.F16:
                ReadStored(parameter, start, MemoryMarshal.AsBytes(Widening.UpperHalf(destination)));
                Widening.FromFloat16(Widening.UpperHalf(destination), destination);
                break;
            case ElementType.BF16:
                ReadStored(parameter, start, MemoryMarshal.AsBytes(Widening.UpperHalf(destination)));
                Widening.FromBFloat16(Widening.UpperHalf(destination), destination);
                break;
            case ElementType.F64:
                ReadDoubles(parameter, start, destination);
                break;
            default:
                BadFile.Throw(
                    parameter.File,
                    parameter.Name,
                    $"is {parameter.Type.StoredName()}; a parameter must be F32, F16, BF16 or F64.");
                break;
        }
    }

    private void ReadDoubles(ParameterInfo parameter, long start, Span<float> destination)
    {
        double[] doubles = ArrayPool<double>.Shared.Rent(Math.Min(destination.Length, 1 << 13));
        try
        {
            while (!destination.IsEmpty)
            {
                Span<double> part = doubles.AsSpan(0, Math.Min(doubles.Length, destination.Length));
                ReadStored(parameter, start, MemoryMarshal.AsBytes(part));
                for (int i = 0; i < part.Length; i++)
                {
                    destination[i] = (float)part[i];
                }

                start += part.Length;
                destination = destination[part.Length..];
            }
        }
        finally
        {
            ArrayPool<double>.Shared.Return(doubles);
        }
    }
}
