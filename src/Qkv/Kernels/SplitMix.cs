namespace Qkv.Kernels;

/// <summary>The mixing step of SplitMix64 (Steele et al. 2014): numbers that are close become numbers that have nothing to do with each other.</summary>
internal static class SplitMix
{
    // 2⁶⁴ / the golden ratio: successive multiples are spread evenly.
    public const ulong Step = 0x9E3779B97F4A7C15;

    public static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
