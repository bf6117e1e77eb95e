using Qkv.Kernels;
using Qkv.Kernels.MachineCode;

namespace Qkv.Tests.Kernels.MachineCode;

/// <summary>What uses the tile registers of AMX does so on threads that run nothing else.</summary>
[Trait("Suite", "Numerical")]
public unsafe class OwnThreadsTests
{
    [Theory]
    [InlineData(Precision.BFloat16)]
    [InlineData(Precision.Int8)]
    public void A_fault_is_an_exception_after_a_product_as_before(Precision precision)
    {
        Exception? caught = null;
        var thread = new Thread(() =>
        {
            Assert.Equal(MachineTiles.HasAmx, OwnThreads.Wanted);
            float[] x = new float[5 * 40], y = new float[5 * 40];
            var w = new PackedMatrix(1, 40, 40, precision);
            w.Set(0, new float[40 * 40], default);
            fixed (float* source = x, destination = y) MatMul.Forward(source, 40, 5, w, destination, 40, threads: 2);
            // Where this thread has used the registers, it would end the process.
            caught = Record.Exception(() => ((string?)(object?)caught)!.Length);
        });
        thread.Start();
        thread.Join();
        Assert.IsType<NullReferenceException>(caught);
    }

    [Fact]
    public void What_goes_wrong_there_reaches_the_caller()
    {
        for (int i = 0; i < 3; i++)
        {
            Exception? failure = Record.Exception(() => OwnThreads.Run(&Fail, null));
            Assert.Equal("as asked", Assert.IsType<InvalidDataException>(failure).Message);
        }

        static void Fail(void* nothing) => throw new InvalidDataException("as asked");
    }

    [Fact]
    public void Who_is_interrupted_while_waiting_waits_until_it_is_done()
    {
        bool wasDone = false;
        Assert.True(Interruption.During(() =>
        {
            int done = 0;
            OwnThreads.Run(&Slow, &done);
            wasDone = done == 1;
        }));
        Assert.True(wasDone);

        static void Slow(void* state)
        {
            Thread.Sleep(200);
            *(int*)state = 1;
        }
    }

    [Fact]
    public void Many_callers_have_a_thread_each_and_none_is_lost()
    {
        const int callers = 16, calls = 200;
        int[] counts = new int[callers];
        Thread[] threads = [.. Enumerable.Range(0, callers).Select(number => new Thread(() =>
        {
            fixed (int* count = &counts[number])
                for (int i = 0; i < calls; i++) OwnThreads.Run(&Count, count);
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.All(counts, count => Assert.Equal(calls, count));

        static void Count(void* count) => ++*(int*)count;
    }
}
