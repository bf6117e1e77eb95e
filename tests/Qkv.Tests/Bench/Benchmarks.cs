using System.Diagnostics;
using Qkv.Tests.Docs;

namespace Qkv.Tests.Bench;

/// <summary>The benchmark program, run as a process.</summary>
internal static class Benchmarks
{
    public static (int Code, string Output, string Error) Run(params string[] arguments)
    {
        // …/bin/Release/net10.0 of the tests → the same of the benchmarks.
        string[] configuration = AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar).Split(Path.DirectorySeparatorChar)[^3..];
        string program = Path.Combine([Document.Root, "bench", "Qkv.Bench", .. configuration, "Qkv.Bench.dll"]);
        using var process = Process.Start(new ProcessStartInfo("dotnet", [program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output.Replace("\r", "", StringComparison.Ordinal), error.Result);
    }
}
