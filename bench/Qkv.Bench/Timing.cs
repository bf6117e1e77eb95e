using System.Diagnostics;

namespace Qkv.Bench;

/// <summary>One of two engines at the same work.</summary>
/// <param name="First">What a block starts with and does not count: a call, or the first part of a long one.</param>
/// <param name="Call">What is counted.</param>
internal sealed record Contender(Action First, Action Call);

/// <summary>Two engines side by side: seconds a call, their ratio as the median over the pairs of blocks, and (max − min) / median of it.</summary>
internal readonly record struct SideBySide(double Ours, double Theirs, double Ratio, double Spread);

/// <summary>Times short work on a machine that others use too.</summary>
internal static class Timing
{
    // Long enough that one call more or less, and the clock, do not count.
    private const double BlockSeconds = 0.3;

    // Of all pairs together: another one of a batch that takes half a minute says less than the time it costs.
    private const double MostSeconds = 60;

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

    /// <summary>
    /// Alternates blocks of both in one process, so that what the machine does meanwhile meets both. Who begins changes from pair to pair:
    /// a machine that slows down steadily favours neither. After a minute no further pair begins.
    /// </summary>
    public static SideBySide Alternate(Contender ours, Contender theirs, int pairs)
    {
        List<double> our = [], their = [];
        long start = Stopwatch.GetTimestamp();
        for (int pair = 0; pair < pairs && (pair == 0 || Stopwatch.GetElapsedTime(start).TotalSeconds < MostSeconds); pair++)
        {
            if (pair % 2 == 0) our.Add(Block(ours));
            their.Add(Block(theirs));
            if (pair % 2 == 1) our.Add(Block(ours));
        }
        double[] ratios = [.. their.Zip(our, (peer, qkv) => peer / qkv)];
        double ratio = Median(ratios);
        return new SideBySide(Median([.. our]), Median([.. their]), ratio, (ratios.Max() - ratios.Min()) / ratio);
    }

    public static double Median(double[] values)
    {
        double[] ordered = [.. values.Order()];
        int middle = ordered.Length / 2;
        return ordered.Length % 2 == 1 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
    }

    /// <summary>Seconds a call over a block.</summary>
    private static double Block(Contender contender)
    {
        WaitUntilAllSleep();
        contender.First();
        int calls = 0;
        long start = Stopwatch.GetTimestamp();
        double seconds;
        do
        {
            contender.Call();
            calls++;
        }
        while ((seconds = Stopwatch.GetElapsedTime(start).TotalSeconds) < BlockSeconds);
        return seconds / calls;
    }

    /// <summary>Waits until no worker of either engine spins any more: a spinning one would take a processor from the other engine.</summary>
    private static void WaitUntilAllSleep()
    {
        const int window = 20, idle = 4, tries = 100; // milliseconds: a spinning thread uses most of a window, even on a busy machine
        for (int i = 0; i < tries; i++)
        {
            TimeSpan before = Environment.CpuUsage.TotalTime;
            Thread.Sleep(window);
            if ((Environment.CpuUsage.TotalTime - before).TotalMilliseconds < idle) return;
        }
    }
}
