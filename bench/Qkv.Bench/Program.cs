using BenchmarkDotNet.Running;
using Qkv.Bench;
using Qkv.Bench.Peers;
using Qkv.Bench.Tiles;

const string usage = """
    Usage: dotnet run -c Release --project bench/Qkv.Bench -- COMMAND

      limit [--filter GLOB]     the machine's FMA peak, and the share of it that each shape reaches (TSV)
      peers [--filter GLOB] [--threads N] [--pairs N] [--markdown FILE]
                                Qkv beside ONNX Runtime on the same models and inputs (TSV, and a Markdown table in FILE);
                                fails where float32 outputs differ
      kernels [--filter GLOB …] BenchmarkDotNet on every kernel; takes BenchmarkDotNet's own options
      tokenizer [FILE]          tokens a second over the lines of FILE or a built-in text (TSV)
      tiles [--check]           assembles the engine's machine code into src/Qkv/Kernels/MachineCode/TileCode.g.cs, or says whether it is that
    """;

switch (args)
{
    case ["limit"]:
        LimitBenchmark.Run("*");
        return 0;
    case ["limit", "--filter", string filter]:
        LimitBenchmark.Run(filter);
        return 0;
    case ["peers", .. string[] options]:
        PeersOptions peers = new();
        foreach (string[] option in options.Chunk(2))
        {
            PeersOptions? with = option switch
            {
                ["--filter", string filter] => peers with { Filter = filter },
                ["--threads", string text] when int.TryParse(text, out int threads) => peers with { Threads = threads },
                ["--pairs", string text] when int.TryParse(text, out int pairs) => peers with { Pairs = pairs },
                ["--markdown", string file] => peers with { Markdown = file },
                _ => null,
            };
            if (with == null) goto default;
            peers = with;
        }
        return PeersBenchmark.Run(peers);
    case ["kernels", .. string[] options]:
        BenchmarkSwitcher.FromAssembly(typeof(MatMulBenchmark).Assembly).Run(options.Length == 0 ? ["--filter", "*"] : options);
        return 0;
    case ["tokenizer"]:
        TokenizerRates.Run(null);
        return 0;
    case ["tokenizer", string corpus]:
        TokenizerRates.Run(corpus);
        return 0;
    case ["tiles"]:
        return TileSource.Run(check: false);
    case ["tiles", "--check"]:
        return TileSource.Run(check: true);
    default:
        Console.Error.WriteLine(usage);
        return 2;
}
