using System.Diagnostics;

namespace Qkv.Tests.App;

/// <summary>The command as a process of its own: from another directory, in the plainest locale, into a pipe that closes.</summary>
public class ProcessTests
{
    [Fact]
    public void It_runs_anywhere_and_prints_utf8()
    {
        using Process process = CommandProcess.Start(["fill-mask", "请问附近有什么好吃的[MASK]馆吗？", "--top", "1"]);
        string output = process.StandardOutput.ReadToEnd(), error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal((0, ""), (process.ExitCode, error));
        Assert.StartsWith("请问附近有什么好吃的[MASK]馆吗？", output);
        Assert.Contains("餐", output);
        Assert.DoesNotContain('\u001b', output);
    }

    [Fact]
    public async Task A_reader_that_leaves_ends_it_quietly()
    {
        using Process process = CommandProcess.Start(["embed", "--input", "-"]);
        Task writing = Task.Run(() =>
        {
            try
            {
                for (int i = 0; i < 200_000; i++) process.StandardInput.WriteLine("attention is all you need");
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It has ended, as it should.
            }
        }, TestContext.Current.CancellationToken);
        Assert.StartsWith("{\"text\":", process.StandardOutput.ReadLine());
        process.StandardOutput.Close();
        string error = process.StandardError.ReadToEnd();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        await writing;
        Assert.Equal((0, ""), (process.ExitCode, error));
    }
}
