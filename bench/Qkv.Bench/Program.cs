using BenchmarkDotNet.Running;
using Qkv.Bench;

const string usage = """
    Usage: dotnet run -c Release --project bench/Qkv.Bench -- COMMAND

      limit [--filter GLOB]     the machine's FMA peak, and the share of it that each shape reaches (TSV)
      kernels [--filter GLOB …] BenchmarkDotNet on every kernel; takes BenchmarkDotNet's own options
      tokenizer [FILE]          tokens a second over the lines of FILE or a built-in text (TSV)
    """;

switch (args)
{
    case ["limit"]:
        LimitBenchmark.Run("*");
        return 0;
    case ["limit", "--filter", string filter]:
        LimitBenchmark.Run(filter);
        return 0;
    case ["kernels", .. string[] options]:
        BenchmarkSwitcher.FromAssembly(typeof(MatMulBenchmark).Assembly).Run(options.Length == 0 ? ["--filter", "*"] : options);
        return 0;
    case ["tokenizer"]:
        TokenizerBenchmark.Run(null);
        return 0;
    case ["tokenizer", string corpus]:
        TokenizerBenchmark.Run(corpus);
        return 0;
    default:
        Console.Error.WriteLine(usage);
        return 2;
}
