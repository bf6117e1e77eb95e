using System.Globalization;
using System.Runtime.InteropServices;
using Qkv.Kernels;

namespace Qkv.Bench.Peers;

/// <summary>The comparison as a Markdown file, with everything about the machine that the numbers depend on.</summary>
internal static class PeersTable
{
    public static void Write(string path, IReadOnlyList<PeerRow> rows) => File.WriteAllLines(path,
    [
        $"# Side by side on {Processor()}",
        "",
        $"{Environment.ProcessorCount} cores, {RuntimeInformation.OSArchitecture}, SIMD level {SimdSupport.Level} · {RuntimeInformation.FrameworkDescription} · "
            + $"ONNX Runtime {OnnxPeer.Version} · {DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}",
        "",
        // The ratios that can be reached follow from these two.
        string.Create(CultureInfo.InvariantCulture, $"One core multiplies and adds {MachinePeak.Gflops(Arithmetic.Float32, 1, 1):F0} GFLOP/s in float32 and reads {MachinePeak.ReadGigabytes(1, 1):F0} GB/s."),
        "",
        "Made by `dotnet run -c Release --project bench/Qkv.Bench -- peers --markdown FILE`. The ratio is peer / qkv, the median over alternating blocks;",
        "the spread is (max − min) / median of the blocks' ratios.",
        "",
        Line(PeerRow.Header),
        Line(PeerRow.Header.Select((_, column) => column is 0 or 3 ? "---" : "---:")),
        .. rows.Select(row => Line(row.Fields)),
    ]);

    private static string Line(IEnumerable<string> fields) => $"| {string.Join(" | ", fields)} |";

    /// <summary>Its name, and the numbers that tell generations of one name apart.</summary>
    private static string Processor()
    {
        const string table = "/proc/cpuinfo";
        if (!File.Exists(table)) return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? $"{RuntimeInformation.ProcessArchitecture}";
        string[] lines = File.ReadAllLines(table);
        string name = Field("model name") ?? $"{RuntimeInformation.ProcessArchitecture}";
        return Field("cpu family") is { } family && Field("model") is { } model ? $"{name}, family {family}, model {model}" : name;

        string? Field(string field) => lines.Select(line => line.Split(':', 2, StringSplitOptions.TrimEntries)).FirstOrDefault(parts => parts[0] == field)?[^1];
    }
}
