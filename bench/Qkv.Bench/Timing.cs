using System.Diagnostics;

namespace Qkv.Bench;

/// <summary>Times short work on a machine that others use too.</summary>
internal static class Timing
{
    /// <summary>
    /// Seconds of the fastest call in <paramref name="budget"/> seconds (ten calls at least). What other processes take away
    /// can only make a call slower, so the fastest of many is the machine's own time.
    /// </summary>
    public static double Best(Action work, double budget)
    {
        work();
        double best = double.PositiveInfinity;
        long start = Stopwatch.GetTimestamp();
        for (int call = 0; call < 10 || Stopwatch.GetElapsedTime(start).TotalSeconds < budget; call++)
        {
            long before = Stopwatch.GetTimestamp();
            work();
            best = Math.Min(best, Stopwatch.GetElapsedTime(before).TotalSeconds);
        }
        return best;
    }
}
