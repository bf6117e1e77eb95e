using Qkv.Kernels;

namespace Qkv.Tests;

/// <summary>How much a property test tries: less where vectors are narrower, so that the suite takes about as long at every level.</summary>
internal static class Effort
{
    public static int Iterations(int full) => Math.Max(1, full * Math.Max((int)SimdSupport.Level, 64) / 512);
}
