using System.Runtime.InteropServices;

namespace Qkv.Kernels.MachineCode;

/// <summary>
/// What a machine tile is told, as one block of memory: C (rows, 32) = [start +] A (rows, Steps, 4 bytes) · B (Steps, 32, 4 bytes) [+ added], with AVX2 16 columns, <see cref="Tiles"/> times,
/// each time for the rows that follow. Four bytes are a float32, or neighbours in k: two bfloat16, or four 8-bit integers; a K that is no multiple of it is filled up
/// with zeros by the caller. The tiles in <c>TileCode.g.cs</c> know where each field stands, and leave those that count rows where the next rows are.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TileCall
{
    /// <summary>The next row of A: float32, bfloat16, or uint8.</summary>
    public byte* A;

    /// <summary>Bytes from a row of A to the next.</summary>
    public nint AStride;

    /// <summary>A panel of B, 128 bytes a step: float32, bfloat16, or int8; with AVX2 64 of float32 or int8, and 32 of bfloat16. Needs no alignment, but is read fastest on a cache line.</summary>
    public byte* B;

    /// <summary>Bytes from a step of B to the next.</summary>
    public nint BStride;

    /// <summary>The next row of C: float32, or int32.</summary>
    public byte* C;

    /// <summary>Bytes from a row of C to the next.</summary>
    public nint CStride;

    /// <summary>(32), with AVX2 (16): every row's sums start from it; null for zero.</summary>
    public void* Start;

    /// <summary>The next row of what is added after the product has been summed, C itself or another; null for nothing.</summary>
    public byte* Added;

    /// <summary>Bytes from a row of what is added to the next.</summary>
    public nint AddedStride;

    /// <summary>Steps of four bytes in k; with none, C becomes what it starts from and what is added.</summary>
    public nint Steps;

    /// <summary>Tiles below each other, at least one.</summary>
    public nint Tiles;

    /// <summary>What will be read soon, or B: fetched into the second cache on the way, one cache line a step.</summary>
    public byte* Next;

    /// <summary>Bytes from a line that is fetched to the one of the next step; with 0 it is always the same one, which costs nothing.</summary>
    public nint Ahead;

    /// <summary>Rows of an AMX tile; the others know theirs.</summary>
    public nint Rows;

    /// <summary>What <c>ldtilecfg</c> loads for so many rows, 64 bytes.</summary>
    public byte* Registers;
}
