using System.Runtime.InteropServices;

namespace Qkv.Kernels.MachineCode;

/// <summary>
/// What a machine tile is told, as one block of memory: C (rows, 32) = [C +] A (rows, Steps, 4 bytes) · B (Steps, 32, 4 bytes).
/// Four bytes are neighbours in k: two bfloat16, or four 8-bit integers; a K that is no multiple of it is filled up with zeros by the caller.
/// The tiles in <c>TileCode.g.cs</c> know where each field stands.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TileCall
{
    /// <summary>The first row of A: bfloat16, or uint8.</summary>
    public byte* A;

    /// <summary>Bytes from a row of A to the next.</summary>
    public nint AStride;

    /// <summary>A panel of B, 128 bytes a step: bfloat16, or int8. Needs no alignment, but is read fastest on a cache line.</summary>
    public byte* B;

    /// <summary>The first row of C: float32, or int32.</summary>
    public void* C;

    /// <summary>Bytes from a row of C to the next.</summary>
    public nint CStride;

    /// <summary>Steps of four bytes in k; with none, C becomes 0 or stays as it is.</summary>
    public nint Steps;

    /// <summary>Not 0: what C holds is added, after the product has been summed.</summary>
    public nint Add;

    /// <summary>What will be read soon, or B: fetched into the second cache on the way, one cache line a step.</summary>
    public byte* Next;

    /// <summary>Bytes from a line that is fetched to the one of the next step; with 0 it is always the same one, which costs nothing.</summary>
    public nint Ahead;
}
