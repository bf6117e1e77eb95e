using System.Runtime.CompilerServices;

namespace Qkv.Kernels.MachineCode;

/// <summary>
/// The register tiles whose instructions .NET does not expose, loaded once: bfloat16 (<c>vdpbf16ps</c>) and int8 (<c>vpdpbusd</c>), for every number of rows from 1 to
/// <see cref="Rows"/>. A call is a plain jump: the thread cannot stop for the garbage collector meanwhile, so a call should stay under 20 µs (a K of 3,072 takes 5).
/// Tiles for AMX (<c>tdpbf16ps</c>, <c>tdpbssd</c>) would be a third and a fourth table here; they want a processor to be tested on.
/// </summary>
internal static unsafe class MachineTiles
{
    /// <summary>
    /// Rows of the highest tile. Its 24 accumulators, two vectors of B and two of A fit the 32 registers; 14 rows would too and were measured to be no faster.
    /// </summary>
    public const int Rows = 12;

    // Of a step: 32 columns, four bytes each.
    private const int PanelBytes = 4 * MatMulTile.PanelWidth;

    // Null unless the level asks for tiles and the operating system allows them.
    private static readonly byte* s_code = SimdSupport.Level >= SimdLevel.Avx512Vnni ? ExecutableMemory.Load(TileCode.Bytes, out s_refusal) : null;

    private static readonly string? s_refusal;

    /// <summary>Whether bfloat16 tiles can be called.</summary>
    public static readonly bool HasBFloat16 = s_code != null && SimdSupport.Level >= SimdLevel.Avx512Bf16;

    /// <summary>Whether int8 tiles can be called.</summary>
    public static readonly bool HasInt8 = s_code != null;

    /// <summary>Why there are no tiles although the level asks for them; null where nothing is wrong.</summary>
    public static string? Refusal => s_refusal;

    /// <summary>C (rows, 32) float32 = [C +] A (rows, Steps · 2) bfloat16 · B (Steps, 32, 2) bfloat16. See the twin in the tests for every bit of it.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> BFloat16(int rows) =>
        At(HasBFloat16, OperatingSystem.IsWindows() ? TileCode.BFloat16Windows : TileCode.BFloat16, rows);

    /// <summary>C (rows, 32) int32 = [C +] A (rows, Steps · 4) uint8 · B (Steps, 32, 4) int8, exact modulo 2³².</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> Int8(int rows) =>
        At(HasInt8, OperatingSystem.IsWindows() ? TileCode.Int8Windows : TileCode.Int8, rows);

    /// <summary>
    /// Any number of rows of a bfloat16 product, as <see cref="MatMulTile.Multiply{V, B}"/> does it in C#: what a sum starts from is put into C before.
    /// Strides count numbers. <paramref name="next"/> is a panel of as many steps that will be read soon, or null.
    /// </summary>
    public static void MultiplyBFloat16(ushort* a, nint aStride, ushort* b, float* c, nint cStride, int rows, int steps, bool add, byte* next = null) =>
        Multiply(HasBFloat16, OperatingSystem.IsWindows() ? TileCode.BFloat16Windows : TileCode.BFloat16,
            new TileCall { A = (byte*)a, AStride = aStride * sizeof(ushort), B = (byte*)b, C = c, CStride = cStride * sizeof(float), Steps = steps, Add = add ? 1 : 0, Next = next }, rows);

    /// <summary>The same for int8.</summary>
    public static void MultiplyInt8(byte* a, nint aStride, sbyte* b, int* c, nint cStride, int rows, int steps, bool add, byte* next = null) =>
        Multiply(HasInt8, OperatingSystem.IsWindows() ? TileCode.Int8Windows : TileCode.Int8,
            new TileCall { A = a, AStride = aStride, B = (byte*)b, C = c, CStride = cStride * sizeof(int), Steps = steps, Add = add ? 1 : 0, Next = next }, rows);

    /// <summary>One tile's rows with panels <paramref name="panelBytes"/> apart: C goes on beside itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyBFloat16(TileCall* call, int rows, int panels, nint panelBytes)
    {
        delegate* unmanaged[SuppressGCTransition]<TileCall*, void> tile = BFloat16(rows);
        for (; panels > 0; panels--)
        {
            tile(call);
            call->B += panelBytes;
            call->C = (float*)call->C + MatMulTile.PanelWidth;
        }
    }

    private static void Multiply(bool has, ReadOnlySpan<ushort> entries, TileCall call, int rows)
    {
        // Each step fetches a line of the next panel, so that all of it has come after the last tile.
        int tiles = (rows + Rows - 1) / Rows;
        if (call.Next == null) call.Next = call.B;
        else call.Ahead = (PanelBytes + tiles - 1) / tiles;
        for (int row = 0; row < rows; row += Rows)
        {
            At(has, entries, Math.Min(Rows, rows - row))(&call);
            call.A += Rows * call.AStride;
            call.C = (byte*)call.C + Rows * call.CStride;
            call.Next += call.Ahead * call.Steps;
        }
    }

    private static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> At(bool has, ReadOnlySpan<ushort> entries, int rows)
    {
        if (!has) throw new PlatformNotSupportedException("This process has no such tile; ask HasBFloat16 or HasInt8 first.");
        return (delegate* unmanaged[SuppressGCTransition]<TileCall*, void>)(s_code + entries[rows - 1]);
    }
}
