using System.CommandLine;
using Qkv.App.Output;
using Qkv.Kernels;

namespace Qkv.App;

/// <summary>The options of every verb.</summary>
internal sealed class CommonOptions(Terminal terminal)
{
    private static readonly string[] s_precisions = ["float32", "bfloat16", "int8"];

    public Option<string?> Model { get; } = Options.Text(
        "--model", "DIR", "The Hugging Face directory of the model (default: $QKV_MODEL, else the bundled model).", recursive: true);

    public Option<int?> Threads { get; } = Options.Number("--threads", 1, "Threads to compute with (default: as many as the processor quota allows).", recursive: true);

    public Option<string?> Precision { get; } = Options.Choice("--precision", s_precisions, "How linear maps are held and computed: float32, bfloat16 for half the memory, or int8 for a quarter of it and speed, a little less accurate.", recursive: true);

    public Option<bool> Json { get; } = Options.Flag("--json", "Print JSON.", recursive: true);

    public Option<bool> Verbose { get; } = Options.Flag("--verbose", "Show where an error comes from.", recursive: true);

    /// <summary>What a verb does with these options resolved.</summary>
    public void Run(Command command, Func<Invocation, ParseResult, int> action) => command.SetAction(result =>
    {
        Precision precision = result.GetValue(Precision) switch
        {
            null or "float32" => Kernels.Precision.Float32,
            "bfloat16" => Kernels.Precision.BFloat16,
            _ => Kernels.Precision.Int8,
        };
        return action(new Invocation(terminal, ModelDirectory(result), result.GetValue(Threads), precision, result.GetValue(Json)), result);
    });

    private string ModelDirectory(ParseResult result)
    {
        if (result.GetValue(Model) is { } given) return given.Length > 0 ? given : throw new UsageException("--model must name a directory, but is empty.");
        string? variable = Environment.GetEnvironmentVariable("QKV_MODEL");
        return string.IsNullOrEmpty(variable) ? Invocation.Bundled : variable;
    }
}
