using System.Diagnostics;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>Work that is cut into independent parts, each computed with vectors of any width.</summary>
internal interface IKernel
{
    /// <summary>Computes one part. <paramref name="worker"/> (0 = the calling thread) names the scratch that this thread may use.</summary>
    void Run<V>(int part, int worker) where V : struct, ISimd<V>;
}

/// <summary>
/// The thread team: as many threads as the processor quota allows, started once, shared by every model of the process.
/// Starting a job takes no lock and no allocation. Which thread computes a part never matters to its result.
/// A caller that finds the team at work computes its job alone, so many callers never oversubscribe the machine.
/// </summary>
internal static unsafe class Workers
{
    /// <summary>The most threads that one job can use, the caller included (respects container quotas).</summary>
    public static readonly int Limit = Math.Min(Environment.ProcessorCount, 256);

    // Open: helpers may join the job. The low bits count the helpers inside it.
    private const int Open = 1 << 30;

    // About a tenth of a millisecond.
    private const int LooksBeforeYield = 4000;

    // About a millisecond, which is also how long a sleep takes.
    private const int SpinsBeforeSleep = 1000;

    private static readonly Helper[] Team = CreateTeam();
    private static int _busy;
    private static int _state;
    private static int _generation;
    private static int _helpers;

    // The job, valid while it is open or has helpers inside.
    private static delegate*<void*, int, int, void> _body;
    private static void* _kernel;
    private static int _parts;
    private static int _next;

    /// <summary>Runs every part of <paramref name="kernel"/> on up to <paramref name="threads"/> threads and returns when all are done.</summary>
    public static void Run<TKernel>(TKernel kernel, int parts, int threads) where TKernel : unmanaged, IKernel
    {
        delegate*<void*, int, int, void> body = SimdSupport.Vectors switch
        {
            SimdLevel.Vector512 => &Part<TKernel, Simd512>,
            SimdLevel.Vector256 => &Part<TKernel, Simd256>,
            SimdLevel.Vector128 => &Part<TKernel, Simd128>,
            _ => &Part<TKernel, Scalar>,
        };
        int helpers = Math.Min(Math.Min(threads, Limit), parts) - 1;
        if (helpers <= 0 || Interlocked.CompareExchange(ref _busy, 1, 0) != 0)
        {
            for (int part = 0; part < parts; part++) body(&kernel, part, 0);
            return;
        }
        _body = body;
        _kernel = &kernel;
        _parts = parts;
        _next = 0;
        _helpers = helpers;
        _generation++;
        Interlocked.Exchange(ref _state, Open);
        for (int i = 0; i < helpers; i++) Team[i].Wake();
        Work(0);
        Interlocked.And(ref _state, ~Open);
        // Most parts are short, and looking again costs less than giving way; but a helper may be at one of a tenth of a second.
        for (int i = 0; i < LooksBeforeYield && Volatile.Read(ref _state) != 0; i++) Thread.SpinWait(1);
        bool interrupted = false;
        var spin = new SpinWait();
        while (Volatile.Read(ref _state) != 0)
        {
            try
            {
                spin.SpinOnce(SpinsBeforeSleep);
            }
            catch (ThreadInterruptedException)
            {
                // The kernel is on this stack: whoever interrupts has to wait as well.
                interrupted = true;
            }
        }
        Volatile.Write(ref _busy, 0);
        if (interrupted) Thread.CurrentThread.Interrupt();
    }

    /// <summary>The same for a kernel that may use the tile registers of AMX: by a thread that may.</summary>
    public static void RunInTiles<TKernel>(TKernel kernel, int parts, int threads) where TKernel : unmanaged, IKernel
    {
        if (OwnThreads.Wanted)
        {
            var job = new Job<TKernel> { Kernel = kernel, Parts = parts, Threads = threads };
            OwnThreads.Run(&RunJob<TKernel>, &job);
        }
        else
        {
            Run(kernel, parts, threads);
        }
    }

    private static void RunJob<TKernel>(void* job) where TKernel : unmanaged, IKernel => Run(((Job<TKernel>*)job)->Kernel, ((Job<TKernel>*)job)->Parts, ((Job<TKernel>*)job)->Threads);

    private struct Job<TKernel> where TKernel : unmanaged, IKernel
    {
        public TKernel Kernel;
        public int Parts;
        public int Threads;
    }

    private static void Part<TKernel, V>(void* kernel, int part, int worker) where TKernel : unmanaged, IKernel where V : struct, ISimd<V> =>
        ((TKernel*)kernel)->Run<V>(part, worker);

    private static void Work(int worker)
    {
        for (int part; (part = Interlocked.Increment(ref _next) - 1) < _parts;) _body(_kernel, part, worker);
    }

    private static Helper[] CreateTeam()
    {
        var team = new Helper[Limit - 1];
        for (int i = 0; i < team.Length; i++) team[i] = new Helper(i + 1);
        return team;
    }

    private sealed class Helper
    {
        // Long enough to bridge the gap between two operations of a forward pass, short enough to leave an idle machine idle.
        private static readonly long SpinTicks = Stopwatch.Frequency / 5_000;

        private readonly int _worker;
        private readonly AutoResetEvent _wakeUp = new(false);
        private int _asleep;
        private int _done;

        public Helper(int worker)
        {
            _worker = worker;
            new Thread(Loop) { IsBackground = true, Name = $"Qkv worker {worker}" }.Start();
        }

        public void Wake()
        {
            if (Volatile.Read(ref _asleep) == 1 && Interlocked.Exchange(ref _asleep, 0) == 1) _wakeUp.Set();
        }

        private void Loop()
        {
            OwnThreads.Join();
            while (true)
            {
                long until = Stopwatch.GetTimestamp() + SpinTicks;
                while (!TryJoin())
                {
                    if (Stopwatch.GetTimestamp() < until)
                    {
                        Thread.SpinWait(1);
                        continue;
                    }
                    Interlocked.Exchange(ref _asleep, 1);
                    // A job opened before the flag was seen must not be missed; one opened after will set the event.
                    if (HasWork() && Interlocked.Exchange(ref _asleep, 0) == 1) continue;
                    _wakeUp.WaitOne();
                    until = Stopwatch.GetTimestamp() + SpinTicks;
                }
                Work(_worker);
                Interlocked.Decrement(ref _state);
            }
        }

        private bool HasWork() => (Volatile.Read(ref _state) & Open) != 0 && _done != Volatile.Read(ref _generation) && _worker <= _helpers;

        private bool TryJoin()
        {
            if (!HasWork()) return false;
            int state = Volatile.Read(ref _state);
            if ((state & Open) == 0 || Interlocked.CompareExchange(ref _state, state + 1, state) != state) return false;
            // Inside: the job cannot change now. It may be a newer one than HasWork saw, which is as good.
            _done = _generation;
            if (_worker <= _helpers) return true;
            Interlocked.Decrement(ref _state);
            return false;
        }
    }
}
