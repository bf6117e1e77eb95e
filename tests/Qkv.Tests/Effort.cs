using System.Globalization;
using CsCheck;
using Qkv.Kernels;

namespace Qkv.Tests;

/// <summary>
/// How much a property test tries: less where vectors are narrower, so that the suite takes about as long at every level;
/// QKV_EFFORT times as much on demand. The cases are the same in every run, and more effort goes on where less stopped.
/// </summary>
internal static class Effort
{
    private static readonly double s_factor = double.Parse(Environment.GetEnvironmentVariable("QKV_EFFORT") ?? "1", CultureInfo.InvariantCulture);

    public static int Iterations(int full) => (int)Math.Max(1, s_factor * full * Math.Max((int)SimdSupport.Vectors, 64) / 512);

    /// <summary>The same cases in every run: what fails in one place fails in all.</summary>
    public static Gen<T> Repeatable<T>(this Gen<T> cases) => new RepeatableGen<T>(cases);

    private sealed class RepeatableGen<T>(Gen<T> cases) : Gen<T>
    {
        private int _drawn;

        public override T Generate(PCG pcg, Size? min, out Size size) => cases.Generate(new PCG((uint)Interlocked.Increment(ref _drawn), 1), min, out size);
    }
}
