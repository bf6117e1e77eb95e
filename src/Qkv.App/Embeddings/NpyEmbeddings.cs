using System.Runtime.InteropServices;
using System.Text;

namespace Qkv.App.Embeddings;

/// <summary>NumPy's .npy, version 1.0: float32 (n, C). The header is written again at the end, when n is known.</summary>
internal sealed class NpyEmbeddings : EmbeddingWriter
{
    // A multiple of 64, as the format asks; room for any n and C.
    private const int HeaderSize = 128;

    // The magic string, the version and the length of the description.
    private const int Prefix = 10;

    private readonly Stream _stream;
    private readonly int _dimensions;
    private long _rows;

    public NpyEmbeddings(Stream stream, int dimensions)
    {
        (_stream, _dimensions) = (stream, dimensions);
        WriteHeader();
    }

    public override void Write(string text, ReadOnlySpan<float> vector, int tokens, bool truncated)
    {
        _stream.Write(MemoryMarshal.AsBytes(vector));
        _rows++;
    }

    public override void Complete()
    {
        _stream.Position = 0;
        WriteHeader();
    }

    private void WriteHeader()
    {
        string description = $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({_rows}, {_dimensions}), }}";
        _stream.Write([0x93, .. "NUMPY"u8, 1, 0, HeaderSize - Prefix, 0]);
        _stream.Write(Encoding.ASCII.GetBytes(description.PadRight(HeaderSize - Prefix - 1) + "\n"));
    }
}
