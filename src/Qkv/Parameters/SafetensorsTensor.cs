using System.Runtime.InteropServices;

namespace Qkv.Parameters;

/// <summary>One tensor to be written: its description, and what writes its elements, little endian and row-major, when asked.</summary>
/// <param name="Name">The name it will be stored under.</param>
/// <param name="Type">The type of its elements.</param>
/// <param name="Shape">Its sizes, outermost first.</param>
/// <param name="Write">Writes exactly the tensor's bytes; called once, so that a large tensor need not be in memory before.</param>
public sealed record SafetensorsTensor(string Name, ElementType Type, IReadOnlyList<long> Shape, Action<Stream> Write)
{
    /// <summary>A tensor of stored bytes.</summary>
    public static SafetensorsTensor Of(string name, ElementType type, IReadOnlyList<long> shape, ReadOnlyMemory<byte> bytes) =>
        new(name, type, shape, stream => stream.Write(bytes.Span));

    /// <summary>An F32 tensor.</summary>
    public static SafetensorsTensor Of(string name, IReadOnlyList<long> shape, ReadOnlyMemory<float> elements) =>
        new(name, ElementType.F32, shape, stream => WriteElements(stream, elements.Span));

    /// <summary>An F64 tensor.</summary>
    public static SafetensorsTensor Of(string name, IReadOnlyList<long> shape, ReadOnlyMemory<double> elements) =>
        new(name, ElementType.F64, shape, stream => WriteElements(stream, elements.Span));

    /// <summary>An I64 tensor.</summary>
    public static SafetensorsTensor Of(string name, IReadOnlyList<long> shape, ReadOnlyMemory<long> elements) =>
        new(name, ElementType.I64, shape, stream => WriteElements(stream, elements.Span));

    internal static void WriteElements<T>(Stream stream, ReadOnlySpan<T> elements)
        where T : unmanaged
    {
        // Spans of bytes end at 2 GiB, so long tensors are written in pieces.
        const int Piece = 1 << 24;
        while (!elements.IsEmpty)
        {
            ReadOnlySpan<T> piece = elements[..Math.Min(Piece, elements.Length)];
            stream.Write(MemoryMarshal.AsBytes(piece));
            elements = elements[piece.Length..];
        }
    }
}
