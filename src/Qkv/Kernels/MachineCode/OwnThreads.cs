using System.Runtime.ExceptionServices;

namespace Qkv.Kernels.MachineCode;

/// <summary>
/// Threads that compute with the tile registers in place of those that call. Of a thread that has once used them Linux saves 8 KB more wherever it reports a fault,
/// and the stack that .NET 10 keeps for such reports has no room for it: a NullReferenceException on that thread would end the process. So a thread that runs
/// others' code never uses them: it waits for one of these, or is a thread of the team. There are as many as callers at a time; those that nobody needs end.
/// </summary>
internal static unsafe class OwnThreads
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private static readonly Lock s_lock = new();
    private static OwnThread? s_idle;

    [ThreadStatic]
    private static bool t_own;

    /// <summary>Whether this thread must leave bfloat16 and int8 products to one of these.</summary>
    public static bool Wanted => MachineTiles.HasAmx && !t_own;

    /// <summary>Says that this thread never runs anything but kernels.</summary>
    public static void Join() => t_own = true;

    /// <summary>Has <paramref name="body"/> run with <paramref name="state"/> by one of these threads, and returns, or throws, when it has.</summary>
    public static void Run(delegate*<void*, void> body, void* state)
    {
        OwnThread? thread;
        lock (s_lock)
        {
            thread = s_idle;
            if (thread != null) s_idle = thread.Next;
        }
        thread ??= new OwnThread();
        thread.Start(body, state);
        // State may be on this thread's stack: whoever interrupts it has to wait until nobody reads that.
        bool waited = false, returned = false, interrupted = false;
        ExceptionDispatchInfo? failure = null;
        while (!returned)
        {
            try
            {
                if (!waited) failure = thread.Wait();
                waited = true;
                lock (s_lock) (thread.Next, s_idle) = (s_idle, thread);
                returned = true;
            }
            catch (ThreadInterruptedException)
            {
                interrupted = true;
            }
        }
        if (interrupted) Thread.CurrentThread.Interrupt();
        failure?.Throw();
    }

    /// <summary>Takes a thread out of those that wait, if it is one of them.</summary>
    private static bool Remove(OwnThread thread)
    {
        lock (s_lock)
        {
            if (s_idle == thread) s_idle = thread.Next;
            else
            {
                OwnThread? before = s_idle;
                while (before != null && before.Next != thread) before = before.Next;
                if (before == null) return false;
                before.Next = thread.Next;
            }
            return true;
        }
    }

    private sealed class OwnThread
    {
        private readonly SemaphoreSlim _work = new(0), _done = new(0);
        private delegate*<void*, void> _body;
        private void* _state;
        private ExceptionDispatchInfo? _failure;

        public OwnThread() => new Thread(Loop) { IsBackground = true, Name = "Qkv tile registers" }.UnsafeStart();

        /// <summary>The one that waits behind this one.</summary>
        public OwnThread? Next { get; set; }

        public void Start(delegate*<void*, void> body, void* state)
        {
            _body = body;
            _state = state;
            _failure = null;
            _work.Release();
        }

        /// <summary>Returns what went wrong once it is done.</summary>
        public ExceptionDispatchInfo? Wait()
        {
            _done.Wait();
            return _failure;
        }

        private void Loop()
        {
            Join();
            while (true)
            {
                // Once it is no longer among those that wait, somebody has work for it.
                if (!_work.Wait(s_patience))
                {
                    if (Remove(this)) return;
                    _work.Wait();
                }
                try
                {
                    _body(_state);
                }
                catch (Exception failure)
                {
                    _failure = ExceptionDispatchInfo.Capture(failure);
                }
                _done.Release();
            }
        }
    }
}
