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
    public void A_level_that_does_not_exist_is_named_with_those_that_do()
    {
        using Process process = CommandProcess.Start(["embed", "a"], ("QKV_SIMD", "foo"));
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(1, process.ExitCode);
        Command.IsOneSentence("QKV_SIMD=foo is not a SIMD level; use scalar, 128", error);
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

    [Fact]
    public void Results_that_cannot_be_written_are_named_and_messages_that_cannot_are_lost()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "A device that is always full.");
        foreach ((string command, int code, string words) in ((string, int, string)[])[("embed a >/dev/full", 1, "Standard output cannot be written"), ("embed 2>/dev/full", 2, ""), ("embed a >/dev/null 2>/dev/full", 0, "")])
        {
            using var shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"'{CommandProcess.Host}' '{Path.Combine(AppContext.BaseDirectory, "Qkv.App.dll")}' {command}"]) { RedirectStandardError = true })!;
            string error = shell.StandardError.ReadToEnd();
            shell.WaitForExit();
            Assert.Equal(code, shell.ExitCode);
            if (words.Length > 0) Command.IsOneSentence(words, error);
            else Assert.Equal("", error);
        }
    }

    /// <summary>While a run waits for a text that never comes, its directory is there under a temporary name; Ctrl-C and being ended take that away.</summary>
    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    [InlineData("QUIT", 131)]
    public async Task Nothing_unfinished_is_left_when_it_is_interrupted(string signal, int code)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "A file that blocks its reader.");
        Assert.SkipWhen(signal == "INT" && InterruptIsIgnored(), "Jobs that a shell starts in the background ignore Ctrl-C, and so does what they start.");
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        using var directory = new TemporaryDirectory();
        string never = directory.File("never.txt");
        await Process.Start("mkfifo", [never]).WaitForExitAsync(cancellation);
        using Process process = CommandProcess.Start(["train", "mlm", "--input", never, "--output", directory.File("run")]);
        while (!process.HasExited && !Directory.GetDirectories(directory.Path).Any(started => File.Exists(Path.Combine(started, "model.safetensors")))) await Task.Delay(20, cancellation);
        await Process.Start("kill", [$"-{signal}", $"{process.Id}"]).WaitForExitAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        Assert.Equal(code, process.ExitCode);
        Assert.Equal([never], Directory.GetFileSystemEntries(directory.Path));
    }

    /// <summary>By Linux's word: signal 2 is bit 1 of what a process ignores.</summary>
    private static bool InterruptIsIgnored()
    {
        const string status = "/proc/self/status", ignored = "SigIgn:";
        string? line = File.Exists(status) ? File.ReadLines(status).FirstOrDefault(line => line.StartsWith(ignored, StringComparison.Ordinal)) : null;
        return line != null && (Convert.ToUInt64(line[ignored.Length..].Trim(), 16) & 0b10) != 0;
    }
}
