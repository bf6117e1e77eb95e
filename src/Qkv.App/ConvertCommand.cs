using System.CommandLine;
using Qkv.App.Training;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv convert</c>: a model directory with its parameters in another type.</summary>
internal static class ConvertCommand
{
    public static Command Create(CommonOptions common)
    {
        var output = new Option<string>("--output") { Description = "Directory to write; it must not be there yet.", HelpName = "DIR", Required = true };
        Option<string?> type = Options.Choice("--type", ["float16", "bfloat16", "float32"], "How parameters are stored (default: float16, half the size of float32).");
        var command = new Command("convert", "Copies a model with its parameters stored in another type, as one model.safetensors.") { output, type };
        common.Run(command, (invocation, result) =>
        {
            if (invocation.Precision != Precision.Float32) throw new UsageException("convert computes nothing, so --precision changes nothing; --type says how parameters are stored.");
            ElementType element = result.GetValue(type) switch { "bfloat16" => ElementType.BF16, "float32" => ElementType.F32, _ => ElementType.F16 };
            string path = result.GetRequiredValue(output);
            if (Directory.Exists(path)) throw new UsageException($"--output '{path}' is there already; name another directory.");
            // Whatever is wrong with the model is found before anything is written.
            invocation.LoadEncoder();
            using RunDirectory directory = RunDirectory.Open(path, target => TaskModel.Store(invocation.ModelDirectory, target, element));
            directory.Appear();
            return 0;
        });
        return command;
    }
}
