using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>How wide the kernels compute, and which instructions beyond .NET's they use. Each level includes those below it.</summary>
public enum SimdLevel
{
    /// <summary>One float32 at a time.</summary>
    Scalar = 0,

    /// <summary>128-bit vectors (SSE, NEON).</summary>
    Vector128 = 128,

    /// <summary>256-bit vectors (AVX2 with FMA).</summary>
    Vector256 = 256,

    /// <summary>256-bit vectors, and tiles in machine code (AVX2, FMA).</summary>
    Avx2 = 257,

    /// <summary>512-bit vectors (AVX-512).</summary>
    Vector512 = 512,

    /// <summary>512-bit vectors, and int8 tiles in machine code (AVX512-VNNI).</summary>
    Avx512Vnni = 513,

    /// <summary>512-bit vectors, and int8 and bfloat16 tiles in machine code (AVX512-VNNI, AVX512-BF16).</summary>
    Avx512Bf16 = 514,

    /// <summary>512-bit vectors, and int8 and bfloat16 tiles of the tile registers (AMX).</summary>
    Amx = 515,
}

/// <summary>The SIMD level of this process: chosen once, so that results never change while it runs.</summary>
public static class SimdSupport
{
    /// <summary>
    /// The environment variable that forces the level down: <c>scalar</c>, <c>128</c>, <c>256</c> and <c>512</c> (no machine code), <c>avx2</c>, <c>avx512vnni</c>,
    /// <c>avx512bf16</c> or <c>amx</c>.
    /// </summary>
    public const string Variable = "QKV_SIMD";

    /// <summary>The highest level that the processor has.</summary>
    public static readonly SimdLevel Processor =
        Vector512.IsHardwareAccelerated ? Beyond(X86Base.X64.IsSupported ? X86Base.CpuId : null)
        : Vector256.IsHardwareAccelerated ? X86Base.X64.IsSupported && Fma.IsSupported ? SimdLevel.Avx2 : SimdLevel.Vector256
        : Vector128.IsHardwareAccelerated ? SimdLevel.Vector128
        : SimdLevel.Scalar;

    /// <summary>
    /// The level in use: <see cref="Processor"/>, or less where <see cref="Variable"/> says so. Machine code has been tested on Linux only, so elsewhere it is
    /// used where <see cref="Variable"/> asks for it by name.
    /// </summary>
    public static readonly SimdLevel Level = Permitted(Choose(Environment.GetEnvironmentVariable(Variable), Processor, OperatingSystem.IsLinux()), TileRegisters.Ask);

    /// <summary>The level as the width of its vectors, which is all that kernels written in C# know.</summary>
    internal static SimdLevel Vectors => VectorsOf(Level);

    /// <param name="wanted">What <see cref="Variable"/> says.</param>
    /// <param name="processor">The highest level there is.</param>
    /// <param name="machineCode">Whether levels with machine code are used without being asked for.</param>
    internal static SimdLevel Choose(string? wanted, SimdLevel processor, bool machineCode)
    {
        SimdLevel level = wanted?.Trim().ToLowerInvariant() switch
        {
            null or "" => machineCode ? processor : VectorsOf(processor),
            "scalar" or "0" => SimdLevel.Scalar,
            "128" => SimdLevel.Vector128,
            "256" => SimdLevel.Vector256,
            "avx2" => SimdLevel.Avx2,
            "512" => SimdLevel.Vector512,
            "avx512vnni" => SimdLevel.Avx512Vnni,
            "avx512bf16" => SimdLevel.Avx512Bf16,
            "amx" => SimdLevel.Amx,
            _ => throw new ArgumentException($"{Variable}={wanted} is not a SIMD level; use scalar, 128, 256, avx2, 512, avx512vnni, avx512bf16 or amx."),
        };
        return level < processor ? level : processor;
    }

    /// <summary>A level without its machine code.</summary>
    internal static SimdLevel VectorsOf(SimdLevel level) => level switch { >= SimdLevel.Vector512 => SimdLevel.Vector512, >= SimdLevel.Vector256 => SimdLevel.Vector256, _ => level };

    /// <summary>The level with what the operating system gives: tile registers must be asked for, and nobody asks who does not use them.</summary>
    internal static SimdLevel Permitted(SimdLevel level, Func<bool> ask) => level < SimdLevel.Amx || ask() ? level : SimdLevel.Avx512Vnni;

    /// <summary>
    /// The level of a processor with 512-bit vectors, by its own word (CPUID leaf 7). That the operating system saves such vectors between threads (OSXSAVE, XGETBV)
    /// .NET has asked already: otherwise <see cref="Vector512.IsHardwareAccelerated"/> would be false. Every processor with AVX512-BF16 has AVX512-VNNI; should
    /// one have only the former, it has neither here. On Intel's, AVX512-BF16 is half as fast as float32 and counts only beside AMX, as a level to be forced down to.
    /// </summary>
    internal static SimdLevel Beyond(Func<int, int, (int Eax, int Ebx, int Ecx, int Edx)>? cpuId)
    {
        const int vnniInEcx = 1 << 11, bf16InEax = 1 << 5, amxInEdx = 1 << 22 | 1 << 24 | 1 << 25; // its bfloat16, its registers, its int8
        const int intelInEbx = 'G' | 'e' << 8 | 'n' << 16 | 'u' << 24;
        if (cpuId == null) return SimdLevel.Vector512;
        (int leaves, int vendor, _, _) = cpuId(0, 0);
        if (leaves < 7) return SimdLevel.Vector512;
        (int subleaves, _, int features, int further) = cpuId(7, 0);
        if ((features & vnniInEcx) == 0) return SimdLevel.Vector512;
        if (subleaves < 1 || (cpuId(7, 1).Eax & bf16InEax) == 0) return SimdLevel.Avx512Vnni;
        if ((further & amxInEdx) == amxInEdx) return SimdLevel.Amx;
        return vendor == intelInEbx ? SimdLevel.Avx512Vnni : SimdLevel.Avx512Bf16;
    }
}
