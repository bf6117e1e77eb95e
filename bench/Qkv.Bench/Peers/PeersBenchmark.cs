using System.Globalization;
using System.IO.Enumeration;
using Qkv.Encoders;
using Qkv.Kernels;

namespace Qkv.Bench.Peers;

/// <summary>What <c>peers</c> is asked for.</summary>
internal sealed record PeersOptions
{
    /// <summary>Which cases, by name.</summary>
    public string Filter { get; init; } = "*";

    /// <summary>Threads of both engines; null for one and for two.</summary>
    public int? Threads { get; init; }

    /// <summary>Pairs of blocks a case.</summary>
    public int Pairs { get; init; } = 5;

    /// <summary>Where the table goes as Markdown as well.</summary>
    public string? Markdown { get; init; }
}

/// <summary>One line of the comparison; the difference is null where the engines do not have the same parameters.</summary>
internal sealed record PeerRow(PeerCase Case, int Threads, string Peer, SideBySide Time, double? Difference)
{
    public static readonly string[] Header = ["case", "threads", "qkv_ms", "peer", "peer_ms", "ratio", "spread", "max_abs_diff"];

    // "Not at most", so that a NaN fails too.
    public bool Fails => Difference is { } difference && !(difference <= Case.Tolerance);

    public string[] Fields =>
    [
        Case.Name, $"{Threads}", Milliseconds(Time.Ours), Peer, Milliseconds(Time.Theirs), Fixed(Time.Ratio), Fixed(Time.Spread),
        Difference?.ToString("0.0E+0", CultureInfo.InvariantCulture) ?? "-",
    ];

    private static string Milliseconds(double seconds) => Fixed(1e3 * seconds);

    private static string Fixed(double value) => value.ToString("F3", CultureInfo.InvariantCulture);
}

/// <summary>The same work in Qkv and in ONNX Runtime, side by side in one process. Prints TSV with a header line.</summary>
internal static class PeersBenchmark
{
    /// <returns>0 done, 1 outputs differ or the peer does not run here, 2 wrong usage.</returns>
    public static int Run(PeersOptions options)
    {
        if (options.Threads is < 1 || options.Threads > Workers.Limit)
            return Fail(2, $"--threads must be from 1 to {Workers.Limit}, the processors there are, but is {options.Threads}.");
        if (options.Pairs < 1) return Fail(2, $"--pairs must be at least 1, but is {options.Pairs}.");
        PeerCase[] cases = [.. PeerCase.All.Where(each => FileSystemName.MatchesSimpleExpression(options.Filter, each.Name))];
        if (cases.Length == 0) return Fail(2, $"--filter {options.Filter} fits no case; there are {string.Join(", ", PeerCase.All.Select(each => each.Name))}.");
        OnnxPeer.KeepFreedMemory();
        try
        {
            _ = OnnxPeer.Version;
        }
        catch (Exception missing) when (missing is DllNotFoundException or TypeInitializationException)
        {
            return Fail(1, "ONNX Runtime's native library does not load on this machine, so there is nothing to compare with.");
        }

        Console.WriteLine(string.Join('\t', PeerRow.Header));
        var rows = new List<PeerRow>();
        foreach (IGrouping<string, PeerCase> model in cases.GroupBy(each => each.Model))
            foreach (PeerRow row in Compare(model, options))
            {
                Console.WriteLine(string.Join('\t', row.Fields));
                if (row.Fails) Fail(1, $"{row.Case.Name} with {row.Threads} threads FAILED: the outputs differ by {row.Fields[^1]}, more than {row.Case.Tolerance}.");
                rows.Add(row);
            }
        if (options.Markdown != null) PeersTable.Write(options.Markdown, rows);
        return rows.Any(row => row.Fails) ? 1 : 0;
    }

    private static IEnumerable<PeerRow> Compare(IGrouping<string, PeerCase> cases, PeersOptions options)
    {
        int[] threadCounts = options.Threads is { } given ? [given] : [.. new[] { 1, Math.Min(2, Workers.Limit) }.Distinct()];
        using PeerModel? model = PeerModel.All.FirstOrDefault(each => each.Name == cases.Key);
        foreach (int threads in threadCounts)
            foreach (IGrouping<string, PeerCase> precision in cases.GroupBy(each => each.Precision))
            {
                using var peer = new OnnxPeer(model?.Graph(precision.First().PeerPrecision) ?? PeerModel.Data("attention.f32.onnx"), threads);
                Encoder? encoder = model == null ? null : Model.Load(model.Directory(), threads, PrecisionOf(precision.Key)).Encoder;
                foreach (PeerCase each in precision)
                    yield return encoder == null ? Attention(each, peer, threads, options.Pairs) : Encoding(each, encoder, peer, options.Pairs);
            }
    }

    private static Precision PrecisionOf(string name) => Enum.Parse<Precision>(name, ignoreCase: true);

    private static PeerRow Encoding(PeerCase row, Encoder encoder, OnnxPeer peer, int pairs)
    {
        using var match = new EncoderMatch(row, encoder, peer);
        double difference = match.Difference();
        return Row(row, encoder.Threads, Timing.Alternate(match.Ours, match.Theirs, pairs), difference);
    }

    private static PeerRow Attention(PeerCase row, OnnxPeer peer, int threads, int pairs)
    {
        using var match = new AttentionMatch(row.Lengths()[0], peer, threads, row.Precision == "bfloat16");
        double difference = match.Difference();
        return Row(row, threads, Timing.Alternate(match.Ours, match.Theirs, pairs), difference);
    }

    private static PeerRow Row(PeerCase row, int threads, SideBySide time, double difference) =>
        new(row, threads, $"onnxruntime-{OnnxPeer.Version}/{(row.PeerPrecision == "f32" ? "float32" : row.PeerPrecision)}", time, row.SameParameters ? difference : null);

    private static int Fail(int code, string sentence)
    {
        Console.Error.WriteLine("peers: " + sentence);
        return code;
    }
}
