namespace Qkv.Kernels.MachineCode;

/// <summary>
/// The register tiles in machine code, loaded once: bfloat16 (<c>vdpbf16ps</c>) and int8 (<c>vpdpbusd</c>), whose instructions .NET does not expose, and float32, which
/// the compiler of .NET copies around between its multiply-adds; for every number of rows from 1 to <see cref="Rows"/>. A call is a plain jump: the thread cannot stop
/// for the garbage collector meanwhile, so a call should stay under 20 µs.
/// Tiles for AMX (<c>tdpbf16ps</c>, <c>tdpbssd</c>) would be further tables here; they want a processor to be tested on.
/// </summary>
internal static unsafe class MachineTiles
{
    /// <summary>
    /// Rows of the highest tile. Its 24 accumulators, two vectors of B and two of A fit the 32 registers; 14 rows would too and were measured to be no faster.
    /// </summary>
    public const int Rows = 12;

    // Of the highest tiles in one call: 4,096 · 12 cycles are about 15 µs.
    private const int MaxSteps = 4096;

    // Null unless the level asks for tiles and the operating system allows them.
    private static readonly byte* s_code = SimdSupport.Level >= SimdLevel.Avx512Vnni ? ExecutableMemory.Load(TileCode.Bytes, out s_refusal) : null;

    private static readonly string? s_refusal;

    /// <summary>Whether float32 tiles can be called.</summary>
    public static readonly bool HasFloat32 = s_code != null;

    /// <summary>Whether bfloat16 tiles can be called.</summary>
    public static readonly bool HasBFloat16 = s_code != null && SimdSupport.Level >= SimdLevel.Avx512Bf16;

    /// <summary>Whether int8 tiles can be called.</summary>
    public static readonly bool HasInt8 = s_code != null;

    /// <summary>Why there are no tiles although the level asks for them; null where nothing is wrong.</summary>
    public static string? Refusal => s_refusal;

    /// <summary>C (rows, 32) float32 = [start +] A (rows, Steps) float32 · B (Steps, 32) float32 [+ added], bit for bit what <see cref="MatMulTile"/> computes in C#.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> Float32(int rows) =>
        At(HasFloat32, OperatingSystem.IsWindows() ? TileCode.Float32Windows : TileCode.Float32, rows);

    /// <summary>C (rows, 32) float32 = [start +] A (rows, Steps · 2) bfloat16 · B (Steps, 32, 2) bfloat16 [+ added]. See the twin in the tests for every bit of it.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> BFloat16(int rows) =>
        At(HasBFloat16, OperatingSystem.IsWindows() ? TileCode.BFloat16Windows : TileCode.BFloat16, rows);

    /// <summary>C (rows, 32) int32 = [start +] A (rows, Steps · 4) uint8 · B (Steps, 32, 4) int8 [+ added], exact modulo 2³².</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> Int8(int rows) =>
        At(HasInt8, OperatingSystem.IsWindows() ? TileCode.Int8Windows : TileCode.Int8, rows);

    /// <summary>Any number of rows of a float32 product. The caller fills in all but <see cref="TileCall.Tiles"/> and <see cref="TileCall.Ahead"/>; Next may be null.</summary>
    public static void MultiplyFloat32(ref TileCall call, int rows) => Multiply(HasFloat32, OperatingSystem.IsWindows() ? TileCode.Float32Windows : TileCode.Float32, ref call, rows);

    /// <summary>The same for bfloat16.</summary>
    public static void MultiplyBFloat16(ref TileCall call, int rows) => Multiply(HasBFloat16, OperatingSystem.IsWindows() ? TileCode.BFloat16Windows : TileCode.BFloat16, ref call, rows);

    /// <summary>The same for int8.</summary>
    public static void MultiplyInt8(ref TileCall call, int rows) => Multiply(HasInt8, OperatingSystem.IsWindows() ? TileCode.Int8Windows : TileCode.Int8, ref call, rows);

    private static void Multiply(bool has, ReadOnlySpan<ushort> entries, ref TileCall call, int rows)
    {
        // As even as can be: of 13 rows, tiles of 7 and 6 are faster than tiles of 12 and 1.
        int tiles = (rows + Rows - 1) / Rows, height = (rows + tiles - 1) / tiles, lower = tiles * height - rows;
        // Each step fetches a part of the next panel, so that all of it has come after the last tile.
        if (call.Next == null) call.Next = call.B;
        else call.Ahead = (call.BStride + tiles - 1) / tiles;
        fixed (TileCall* pinned = &call)
        {
            Call(At(has, entries, height), pinned, tiles - lower);
            if (lower > 0) Call(At(has, entries, height - 1), pinned, lower);
        }
    }

    private static void Call(delegate* unmanaged[SuppressGCTransition]<TileCall*, void> tile, TileCall* call, int tiles)
    {
        int most = (int)Math.Max(1, MaxSteps / Math.Max(1, call->Steps));
        for (; tiles > 0; tiles -= most)
        {
            call->Tiles = Math.Min(tiles, most);
            tile(call);
        }
    }

    private static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> At(bool has, ReadOnlySpan<ushort> entries, int rows)
    {
        if (!has) throw new PlatformNotSupportedException("This process has no such tile; ask HasFloat32, HasBFloat16 or HasInt8 first.");
        return (delegate* unmanaged[SuppressGCTransition]<TileCall*, void>)(s_code + entries[rows - 1]);
    }
}
