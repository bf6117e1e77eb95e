using System.CommandLine;
using Qkv.App.Output;
using Qkv.Text;

namespace Qkv.App;

/// <summary><c>qkv trace</c>: every tensor from the ids to the logits, as a safetensors file.</summary>
internal static class TraceCommand
{
    public static Command Create(CommonOptions common)
    {
        Argument<string[]> texts = Options.Texts("Texts, traced as one batch.", required: false);
        Option<string?> pair = Options.Text("--pair", "TEXT", "The second text of a pair, for each TEXT.");
        Option<string?> inputs = Options.Text(
            "--inputs", "FILE.safetensors",
            "Token ids instead of texts: input_ids (B, L) or (B, N, L), and optionally attention_mask, token_type_ids and position_ids, all I64.");
        Option<string?> output = Options.Text("--output", "FILE.safetensors", "The file to write.");
        output.Required = true;
        var only = new Option<string[]>("--only")
        {
            Description = "Write only the tensors that match, as 'layers.0.*'; * matches anything; may be given several times.",
            HelpName = "GLOB",
        };
        var command = new Command("trace", "Writes every tensor that is computed, from the ids to the logits.") { texts, pair, inputs, output, only };
        common.Run(command, (invocation, result) =>
        {
            string[] given = result.GetValue(texts) ?? [];
            string? path = result.GetValue(inputs);
            if (given.Length > 0 == path is not null) throw new UsageException("trace needs either texts or --inputs FILE.safetensors.");
            if (path is not null && result.GetValue(pair) is not null) throw new UsageException("--pair does not go with --inputs, which gives token_type_ids.");
            OutputFile.Check(result.GetRequiredValue(output)!, path);
            TextEncoder encoder = invocation.LoadEncoder();
            TraceInputs read = path is null ? FromTexts(invocation, encoder, given, result.GetValue(pair)) : TraceInputs.Read(path, encoder.Config, invocation.Note);
            AttentionTrace trace = encoder.Trace(read.Batch, read.Length, read.Choices);
            OutputFile.Write(result.GetRequiredValue(output)!, temporary => trace.Save(temporary, result.GetValue(only) ?? []));
            return 0;
        });
        return command;
    }

    private static TraceInputs FromTexts(Invocation invocation, TextEncoder encoder, string[] texts, string? pair)
    {
        var batch = new TokenBatch();
        foreach (string text in texts)
        {
            Encoding encoding = encoder.Encode(text, pair);
            invocation.NoteTruncation(encoder, text, pair);
            batch.Add(encoding.Ids.AsSpan(), encoding.TypeIds.AsSpan());
        }
        return new TraceInputs(batch, 0, 1);
    }
}
