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
        "Made by `dotnet run -c Release --project bench/Qkv.Bench -- peers --markdown FILE`. The ratio is peer / qkv, the median over alternating blocks;",
        "the spread is (max − min) / median of the blocks' ratios.",
        "",
        Line(PeerRow.Header),
        Line(PeerRow.Header.Select((_, column) => column is 0 or 3 ? "---" : "---:")),
        .. rows.Select(row => Line(row.Fields)),
    ]);

    private static string Line(IEnumerable<string> fields) => $"| {string.Join(" | ", fields)} |";

    private static string Processor()
    {
        const string table = "/proc/cpuinfo", field = "model name";
        string? name = File.Exists(table) ? File.ReadLines(table).FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal))?.Split(':', 2)[1].Trim() : null;
        return name ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? $"{RuntimeInformation.ProcessArchitecture}";
    }
}
