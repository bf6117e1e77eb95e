using Qkv.Kernels;

namespace Qkv.Training;

/// <summary>
/// Random numbers that are a function of a seed and a counter, so that a run can be resumed, or a mask drawn again, without
/// keeping anything but the counter (SplitMix64, Steele et al. 2014).
/// </summary>
internal struct RandomStream(ulong seed, ulong counter = 0)
{
    private readonly ulong _seed = SplitMix.Mix(seed + SplitMix.Step);

    /// <summary>How many numbers have been drawn.</summary>
    public ulong Counter { get; private set; } = counter;

    public ulong Next() => SplitMix.Mix(_seed + ++Counter * SplitMix.Step);

    /// <summary>A whole number from 0 to <paramref name="limit"/> − 1.</summary>
    public int Next(int limit) => (int)Math.BigMul(Next(), (ulong)limit, out _);

    /// <summary>A number in [0, 1).</summary>
    public double NextDouble() => (Next() >> 11) * (1.0 / (1UL << 53));

    /// <summary>A normally distributed number (Box and Muller 1958).</summary>
    public double NextNormal() => Math.Sqrt(-2 * Math.Log(1 - NextDouble())) * Math.Cos(2 * Math.PI * NextDouble());
}
