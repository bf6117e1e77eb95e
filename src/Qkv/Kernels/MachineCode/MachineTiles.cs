using System.Runtime.Intrinsics.X86;

namespace Qkv.Kernels.MachineCode;

/// <summary>
/// The register tiles in machine code, loaded once: bfloat16 (<c>vdpbf16ps</c>) and int8 (<c>vpdpbusd</c>), whose instructions .NET does not expose, and float32, which
/// the compiler of .NET copies around between its multiply-adds; for every number of rows from 1 to <see cref="Rows"/>. A call is a plain jump: the thread cannot stop
/// for the garbage collector meanwhile, so a call should stay under 20 µs. Where the processor has AMX, bfloat16 and int8 are multiplied by its tile registers instead
/// (<c>tdpbf16ps</c>, <c>tdpbusd</c>), from the same panels and several times as fast, by threads that run nothing else (<see cref="OwnThreads"/>).
/// With AVX2 only, vectors are half as wide, bfloat16 is widened to float32 on the way, and the products of neighbours in int8 are added in 16 bits (<c>vpmaddubsw</c>).
/// </summary>
internal static unsafe class MachineTiles
{
    /// <summary>
    /// Rows of the highest tile of 512-bit vectors. Its 24 accumulators, two vectors of B and two of A fit the 32 registers; 14 rows would too and were measured to be no faster.
    /// </summary>
    public const int Avx512Rows = 12;

    /// <summary>Rows of the highest tile of 256-bit vectors: 12 accumulators, two vectors of B (of int8 one, and ones), one of A and a spare one are the 16 registers.</summary>
    public const int Avx2Rows = 6;

    /// <summary>Rows of the highest tile.</summary>
    public static readonly int Rows = IsAvx2 ? Avx2Rows : Avx512Rows;

    /// <summary>Rows of the highest AMX tile, two registers.</summary>
    public const int AmxRows = 2 * TileRegisters.Rows;

    /// <summary>Steps that an AMX tile takes at once; callers fill up with zeros.</summary>
    public const int AmxSteps = TileRegisters.Rows;

    // Of the highest tiles in one call: 4,096 · 12 cycles are about 15 µs.
    private const int MaxSteps = 4096;

    // Null unless the level asks for tiles and the operating system allows them.
    private static readonly byte* s_code = SimdSupport.Level >= SimdLevel.Avx512Vnni || IsAvx2 ? ExecutableMemory.Load(TileCode.Bytes, out s_refusal) : null;

    private static readonly string? s_refusal;

    /// <summary>Whether float32 tiles can be called.</summary>
    public static readonly bool HasFloat32 = s_code != null;

    /// <summary>Whether bfloat16 tiles can be called.</summary>
    public static readonly bool HasBFloat16 = s_code != null && SimdSupport.Level >= SimdLevel.Avx512Bf16;

    /// <summary>Whether tiles of float32 by bfloat16 can be called.</summary>
    public static readonly bool HasWidening = s_code != null && IsAvx2;

    /// <summary>Whether int8 tiles can be called. What AVX-VNNI has for it .NET exposes, and is faster than the tiles for AVX2.</summary>
    public static readonly bool HasInt8 = s_code != null && !(IsAvx2 && AvxVnni.IsSupported);

    /// <summary>Whether bfloat16 and int8 are multiplied by AMX.</summary>
    public static readonly bool HasAmx = s_code != null && SimdSupport.Level >= SimdLevel.Amx;

    /// <summary>What the steps of a bfloat16 or int8 product must be a multiple of; <see cref="WholeSteps"/> of them are.</summary>
    public static readonly int StepsAtOnce = HasAmx ? AmxSteps : 1;

    private static readonly byte* s_registers = HasAmx ? TileRegisters.Configure(AmxRows) : null;

    /// <summary>Why there are no tiles although the level asks for them; null where nothing is wrong.</summary>
    public static string? Refusal => s_refusal;

    /// <summary>C (rows, W) float32 = [start +] A (rows, Steps) float32 · B (Steps, W) float32 [+ added], W = 32 or with AVX2 16, bit for bit what <see cref="MatMulTile"/> computes in C#.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> Float32(int rows) =>
        At(HasFloat32, IsAvx2 ? TileCode.Avx2Float32 : TileCode.Float32, rows);

    /// <summary>C (rows, 16) float32 = [start +] A (rows, Steps) float32 · B (Steps, 16) bfloat16, as <see cref="BFloat16Panel"/> has them [+ added]: what <see cref="Float32"/> computes of the same numbers.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> Widening(int rows) =>
        At(HasWidening, TileCode.Avx2BFloat16, rows);

    /// <summary>C (rows, 32) float32 = [start +] A (rows, Steps · 2) bfloat16 · B (Steps, 32, 2) bfloat16 [+ added]. See the twin in the tests for every bit of it.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> BFloat16(int rows) =>
        At(HasBFloat16, TileCode.BFloat16, rows);

    /// <summary>
    /// C (rows, W) int32 = [start +] A (rows, Steps · 4) uint8 · B (Steps, W, 4) int8 [+ added], W = 32 or with AVX2 16, exact modulo 2³²; with AVX2 where two neighbours of B do not add up to
    /// more than ±128.
    /// </summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> Int8(int rows) =>
        At(HasInt8, IsAvx2 ? TileCode.Avx2Int8 : TileCode.Int8, rows);

    /// <summary>
    /// What <see cref="BFloat16"/> computes, for up to <see cref="AmxRows"/> rows by AMX, which sums in another order: from what is added if anything is, else from the start, by the sums of 32 odd and even
    /// products; where there are both, the start comes last. <see cref="TileCall.Steps"/> is a multiple of <see cref="AmxSteps"/>.
    /// </summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> AmxBFloat16(int rows) => Amx(TileCode.AmxBFloat16, rows);

    /// <summary>What <see cref="Int8"/> computes, by AMX: the same bits.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> AmxInt8(int rows) => Amx(TileCode.AmxInt8, rows);

    /// <summary>So many steps of a bfloat16 or int8 product, filled up to as many as a tile takes.</summary>
    public static int WholeSteps(int steps) => (steps + StepsAtOnce - 1) / StepsAtOnce * StepsAtOnce;

    /// <summary>How the registers must be configured for a tile of so many rows: <see cref="TileCall.Registers"/>.</summary>
    public static byte* Registers(int rows) => s_registers + 4 * TileRegisters.Rows * (rows - 1);

    /// <summary>
    /// Any number of rows of a float32 product. The caller fills in all but <see cref="TileCall.Tiles"/>, <see cref="TileCall.Ahead"/> and what only AMX asks for; Next may be
    /// null.
    /// </summary>
    public static void MultiplyFloat32(ref TileCall call, int rows) => Multiply(&Float32, Rows, ref call, rows);

    /// <summary>The same for float32 by bfloat16.</summary>
    public static void MultiplyWidening(ref TileCall call, int rows) => Multiply(&Widening, Rows, ref call, rows);

    /// <summary>The same for bfloat16, by AMX where there is one.</summary>
    public static void MultiplyBFloat16(ref TileCall call, int rows)
    {
        if (HasAmx) Multiply(&AmxBFloat16, AmxRows, ref call, rows);
        else Multiply(&BFloat16, Rows, ref call, rows);
    }

    /// <summary>The same for int8.</summary>
    public static void MultiplyInt8(ref TileCall call, int rows)
    {
        if (HasAmx) Multiply(&AmxInt8, AmxRows, ref call, rows);
        else Multiply(&Int8, Rows, ref call, rows);
    }

    private static void Multiply(delegate*<int, delegate* unmanaged[SuppressGCTransition]<TileCall*, void>> tileOf, int highest, ref TileCall call, int rows)
    {
        // As even as can be: of 13 rows, tiles of 7 and 6 are faster than tiles of 12 and 1.
        int tiles = (rows + highest - 1) / highest, height = (rows + tiles - 1) / tiles, lower = tiles * height - rows;
        // Each step fetches a part of the next panel, so that all of it has come after the last tile.
        if (call.Next == null) call.Next = call.B;
        else call.Ahead = (call.BStride + tiles - 1) / tiles;
        fixed (TileCall* pinned = &call)
        {
            Call(tileOf(height), pinned, height, tiles - lower);
            if (lower > 0) Call(tileOf(height - 1), pinned, height - 1, lower);
        }
    }

    private static void Call(delegate* unmanaged[SuppressGCTransition]<TileCall*, void> tile, TileCall* call, int rows, int tiles)
    {
        if (HasAmx)
        {
            call->Rows = rows;
            call->Registers = Registers(rows);
        }
        int most = (int)Math.Max(1, MaxSteps / Math.Max(1, call->Steps));
        for (; tiles > 0; tiles -= most)
        {
            call->Tiles = Math.Min(tiles, most);
            tile(call);
        }
    }

    /// <summary>Whether tiles are those of AVX2, 16 columns wide.</summary>
    public static bool IsAvx2 => SimdSupport.Level == SimdLevel.Avx2;

    private static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> At(bool has, ReadOnlySpan<ushort> entries, int rows)
    {
        if (!has) throw new PlatformNotSupportedException("This process has no such tile; ask HasFloat32, HasWidening, HasBFloat16 or HasInt8 first.");
        // The second half is for Windows, which calls in another way.
        int heights = entries.Length / 2;
        entries = OperatingSystem.IsWindows() ? entries[heights..] : entries[..heights];
        return (delegate* unmanaged[SuppressGCTransition]<TileCall*, void>)(s_code + entries[rows - 1]);
    }

    private static delegate* unmanaged[SuppressGCTransition]<TileCall*, void> Amx(ReadOnlySpan<ushort> entries, int rows)
    {
        if (!HasAmx) throw new PlatformNotSupportedException("This process has no such tile; ask HasAmx first.");
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        return (delegate* unmanaged[SuppressGCTransition]<TileCall*, void>)(s_code + entries[(rows - 1) / TileRegisters.Rows]);
    }
}
