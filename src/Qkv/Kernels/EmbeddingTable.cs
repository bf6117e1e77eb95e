namespace Qkv.Kernels;

/// <summary>How numbers are held in memory.</summary>
public enum NumberFormat
{
    /// <summary>IEEE 754 binary32.</summary>
    Float32,

    /// <summary>IEEE 754 binary16.</summary>
    Float16,

    /// <summary>The upper half of a binary32.</summary>
    BFloat16,
}

/// <summary>Rows of numbers that are looked up one at a time (V, C), held as the checkpoint stores them and widened when read.</summary>
internal sealed unsafe class EmbeddingTable
{
    private readonly AlignedBuffer _memory;

    public EmbeddingTable(int rows, int columns, NumberFormat format)
    {
        (Rows, Columns, Format) = (rows, columns, format);
        Size = (long)rows * columns * (format == NumberFormat.Float32 ? 4 : 2);
        if (Size > Array.MaxLength)
            throw new OutOfMemoryException($"An embedding table of {rows:N0} × {columns:N0} is larger than .NET can allocate in one piece.");
        _memory = new AlignedBuffer((Size + sizeof(float) - 1) / sizeof(float));
    }

    /// <summary>A table in the memory of a parameter that is being trained: it changes with every step.</summary>
    public EmbeddingTable(int rows, int columns, AlignedBuffer learned) => (Rows, Columns, _memory) = (rows, columns, learned);

    public int Rows { get; }

    public int Columns { get; }

    public NumberFormat Format { get; }

    /// <summary>The stored bytes, little endian, row by row.</summary>
    public Span<byte> Bytes => new(_memory.Pointer, (int)Size);

    /// <summary>Bytes held here; none of a table that is being trained.</summary>
    public long Size { get; }

    /// <summary>What a kernel reads. Valid as long as this object is reachable.</summary>
    public EmbeddingView View() => new()
    {
        Data = (byte*)_memory.Pointer,
        Columns = Columns,
        Format = Format,
    };
}

/// <summary>An <see cref="EmbeddingTable"/> as a kernel sees it.</summary>
internal unsafe struct EmbeddingView
{
    public byte* Data;
    public int Columns;
    public NumberFormat Format;

    /// <summary>Widens numbers start … start + count of a row.</summary>
    public readonly void Read(int row, int start, int count, float* destination)
    {
        nint first = (nint)row * Columns + start;
        var target = new Span<float>(destination, count);
        if (Format == NumberFormat.Float32) new ReadOnlySpan<float>((float*)Data + first, count).CopyTo(target);
        else if (Format == NumberFormat.Float16) Widening.FromFloat16(new ReadOnlySpan<ushort>((ushort*)Data + first, count), target);
        else Widening.FromBFloat16(new ReadOnlySpan<ushort>((ushort*)Data + first, count), target);
    }
}
