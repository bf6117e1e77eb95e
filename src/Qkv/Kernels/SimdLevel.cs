using System.Runtime.Intrinsics;

namespace Qkv.Kernels;

/// <summary>How wide the kernels compute.</summary>
public enum SimdLevel
{
    /// <summary>One float32 at a time.</summary>
    Scalar = 0,

    /// <summary>128-bit vectors (SSE, NEON).</summary>
    Vector128 = 128,

    /// <summary>256-bit vectors (AVX2 with FMA).</summary>
    Vector256 = 256,

    /// <summary>512-bit vectors (AVX-512).</summary>
    Vector512 = 512,
}

/// <summary>The SIMD level of this process: chosen once, so that results never change while it runs.</summary>
public static class SimdSupport
{
    /// <summary>The environment variable that forces the level down: <c>scalar</c>, <c>128</c>, <c>256</c> or <c>512</c>.</summary>
    public const string Variable = "QKV_SIMD";

    /// <summary>The widest level that the processor has.</summary>
    public static readonly SimdLevel Processor =
        Vector512.IsHardwareAccelerated ? SimdLevel.Vector512
        : Vector256.IsHardwareAccelerated ? SimdLevel.Vector256
        : Vector128.IsHardwareAccelerated ? SimdLevel.Vector128
        : SimdLevel.Scalar;

    /// <summary>The level in use: <see cref="Processor"/>, or less where <see cref="Variable"/> says so.</summary>
    public static readonly SimdLevel Level = Choose(Environment.GetEnvironmentVariable(Variable), Processor);

    internal static SimdLevel Choose(string? wanted, SimdLevel processor)
    {
        SimdLevel level = wanted?.Trim().ToLowerInvariant() switch
        {
            null or "" => processor,
            "scalar" or "0" => SimdLevel.Scalar,
            "128" => SimdLevel.Vector128,
            "256" => SimdLevel.Vector256,
            "512" => SimdLevel.Vector512,
            _ => throw new ArgumentException($"{Variable}={wanted} is not a SIMD level; use scalar, 128, 256 or 512."),
        };
        return level < processor ? level : processor;
    }
}
