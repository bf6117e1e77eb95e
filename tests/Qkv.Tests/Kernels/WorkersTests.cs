using Qkv.Kernels;

namespace Qkv.Tests.Kernels;

/// <summary>The thread team.</summary>
[Trait("Suite", "Numerical")]
public unsafe class WorkersTests
{
    [Fact]
    public void Every_part_of_many_small_jobs_from_several_threads_runs_once()
    {
        int jobs = Effort.Iterations(40_000);
        var callers = new Thread[4];
        var failures = new string?[callers.Length];
        for (int caller = 0; caller < callers.Length; caller++)
        {
            int number = caller;
            callers[caller] = new Thread(() => failures[number] = RunJobs(new Random(number), jobs));
        }
        Array.ForEach(callers, caller => caller.Start());
        Array.ForEach(callers, caller => caller.Join());
        Assert.All(failures, Assert.Null);
    }

    [Fact]
    public void A_job_without_parts_ends_at_once() => Workers.Run(new Count(null, 0), 0, Workers.Limit);

    [Fact]
    public void Who_is_interrupted_while_others_work_waits_until_they_are_done()
    {
        Assert.SkipUnless(Workers.Limit > 1, "There is nobody to wait for.");
        int done = 0;
        Assert.True(Interruption.During(() =>
        {
            int* counts = stackalloc int[2];
            counts[0] = counts[1] = 0;
            while (counts[1] == 0) Workers.Run(new Slow(counts), 2, 2); // until a helper had a part
            done = counts[1];
        }));
        Assert.True(done is 2 or 4); // each part it had is finished
    }

    private static string? RunJobs(Random random, int jobs)
    {
        int* counts = stackalloc int[64];
        for (int job = 0; job < jobs; job++)
        {
            int parts = random.Next(64), threads = random.Next(1, Workers.Limit + 3);
            new Span<int>(counts, 64).Clear();
            Workers.Run(new Count(counts, Math.Min(threads, Workers.Limit)), parts, threads);
            for (int part = 0; part < 64; part++)
                if (counts[part] != (part < parts ? 1 : 0)) return $"Part {part} of {parts} in job {job} with {threads} threads ran {counts[part]} times.";
        }
        return null;
    }

    /// <summary>Counts how often each part runs; a worker that has no scratch counts as a second time.</summary>
    private readonly struct Count(int* counts, int threads) : IKernel
    {
        private readonly int* _counts = counts;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V> => Interlocked.Add(ref _counts[part], worker < threads ? 1 : 2);
    }

    /// <summary>A helper takes its time: 1 when it begins, 2 when it is done. The caller waits until one has begun, for a while.</summary>
    private readonly struct Slow(int* counts) : IKernel
    {
        private readonly int* _counts = counts;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            if (worker > 0) Interlocked.Increment(ref _counts[1]);
            long end = Environment.TickCount64 + 300;
            while (Environment.TickCount64 < end && (worker > 0 || Volatile.Read(ref _counts[1]) == 0)) Thread.SpinWait(10);
            if (worker > 0) Interlocked.Increment(ref _counts[1]);
        }
    }
}
