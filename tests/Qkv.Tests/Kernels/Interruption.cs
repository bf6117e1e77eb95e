namespace Qkv.Tests.Kernels;

/// <summary>A thread that is interrupted while it waits for others.</summary>
internal static class Interruption
{
    /// <summary>Interrupts a thread 100 ms after it has begun <paramref name="work"/>; whether it got to know of that when it was through.</summary>
    public static bool During(Action work)
    {
        bool interrupted = false;
        using var started = new ManualResetEventSlim();
        var thread = new Thread(() =>
        {
            started.Set();
            work();
            try
            {
                Thread.Sleep(1);
            }
            catch (ThreadInterruptedException)
            {
                interrupted = true;
            }
        });
        thread.Start();
        started.Wait(TestContext.Current.CancellationToken);
        Thread.Sleep(100);
        thread.Interrupt();
        thread.Join();
        return interrupted;
    }
}
