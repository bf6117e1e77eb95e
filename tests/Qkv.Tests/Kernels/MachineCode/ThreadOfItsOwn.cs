using System.Runtime.ExceptionServices;
using Qkv.Kernels.MachineCode;

namespace Qkv.Tests.Kernels.MachineCode;

/// <summary>A thread for tests that call AMX tiles themselves: those of the test runner also run tests that end in a fault.</summary>
internal static class ThreadOfItsOwn
{
    public static void Run(Action test)
    {
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            OwnThreads.Join();
            try
            {
                test();
            }
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }
}
