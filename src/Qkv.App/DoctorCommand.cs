using System.CommandLine;
using Qkv.App.Doctor;
using Qkv.App.Output;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.App;

/// <summary><c>qkv doctor</c>: everything that was resolved about a model and this machine, and a self-check.</summary>
internal static class DoctorCommand
{
    public static Command Create(CommonOptions common)
    {
        Option<string?> input = Options.Text(
            "--input", "FILE|-", $"With --precision bfloat16 or int8: texts to compare with float32, one a line, UTF-8, the first {PrecisionCheck.MostTexts:N0} (default: some sentences).");
        var command = new Command("doctor", "Says what was made of a model directory and this machine, checks that the engine agrees with itself, and compares a --precision with float32.") { input };
        common.Run(command, (invocation, result) => Run(invocation, result.GetValue(input)));
        return command;
    }

    private static int Run(Invocation invocation, string? path)
    {
        if (path != null && invocation.Precision == Precision.Float32) throw new UsageException("doctor compares --input with float32; add --precision bfloat16 or int8.");
        IReadOnlyList<string>? texts = path == null ? null : Texts(path, invocation.Terminal);
        TextEncoder encoder = invocation.LoadEncoder();
        TextEncoder exact = invocation.Precision == Precision.Float32 ? encoder : encoder.With(Model.Load(encoder.Directory, encoder.Model.Encoder.Threads));
        SelfCheck check = SelfCheck.Of(encoder, exact);
        PrecisionCheck? precision = exact != encoder && Tokenizer.Exists(encoder.Directory) ? PrecisionCheck.Of(encoder, exact, texts) : null;
        IReadOnlyList<Fact> facts = Facts.Of(invocation.ModelName, encoder, check, precision);
        if (invocation.Json) JsonLineWriter.Write(invocation.Terminal, facts, Facts.Write);
        else Facts.Show(facts, check).WriteTo(invocation.Terminal);
        return check.Passed ? 0 : throw new InvalidOperationException(check.Problem);
    }

    private static string[] Texts(string path, Terminal terminal)
    {
        using Stream stream = Input.Open(path, terminal);
        string[] texts = [.. Input.Lines(stream, Input.Name(path)).Where(text => !string.IsNullOrWhiteSpace(text)).Take(PrecisionCheck.MostTexts)];
        return texts.Length > 0 ? texts : throw new InvalidDataException($"{Input.Name(path)} holds no text to compare.");
    }
}
