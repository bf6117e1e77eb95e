using System.Globalization;

namespace Qkv.Tests.Bench;

/// <summary>The side-by-side benchmark runs, and what it prints has the form that others read.</summary>
public class PeersTests
{
    [Fact]
    public void Peers_prints_a_row_whose_outputs_agree()
    {
        string table = Path.GetTempFileName();
        try
        {
            (int code, string output, string error) = Benchmarks.Run("peers", "--filter", "minilm-l6/float32/1x16", "--threads", "1", "--pairs", "1", "--markdown", table);
            if (error.Contains("does not load on this machine", StringComparison.Ordinal)) Assert.Skip(error);
            Assert.True(code == 0, error);
            string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal("case\tthreads\tqkv_ms\tpeer\tpeer_ms\tratio\tspread\tmax_abs_diff", lines[0]);
            string[] fields = Assert.Single(lines[1..]).Split('\t');
            Assert.Equal(["minilm-l6/float32/1x16", "1"], fields[..2]);
            Assert.StartsWith("onnxruntime-", fields[3]);
            Assert.Equal(Number(fields[4]) / Number(fields[2]), Number(fields[5]), 0.01 * Number(fields[5]));
            Assert.InRange(Number(fields[7]), 1e-9, 5e-5);
            Assert.Contains($"| {string.Join(" | ", fields)} |", File.ReadAllLines(table));
        }
        finally
        {
            File.Delete(table);
        }

        static double Number(string field) => double.Parse(field, CultureInfo.InvariantCulture);
    }

    [Theory]
    [InlineData("--threads 0", "--threads must be from 1 to ")]
    [InlineData("--pairs 0", "--pairs must be at least 1")]
    [InlineData("--filter nothing", "--filter nothing fits no case")]
    [InlineData("--pairs", "Usage: ")]
    public void Peers_says_what_it_was_asked_wrongly(string options, string words)
    {
        (int code, string output, string error) = Benchmarks.Run(["peers", .. options.Split(' ')]);
        Assert.Contains(words, error);
        Assert.Equal("", output);
        Assert.Equal(2, code);
    }
}
