using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Qkv.App.Output;
using Qkv.App.Training;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv evaluate mlm</c>: how well a masked language model guesses.</summary>
internal static class EvaluateCommand
{
    public static Command Create(CommonOptions common)
    {
        var input = new Option<string>("--input") { Description = "Text to measure on: UTF-8, documents separated by blank lines; .gz is unpacked.", HelpName = "FILE", Required = true };
        Option<int?> length = Options.Number("--length", 3, "Tokens of a window (default: 128).");
        Option<double?> maskRate = Options.Real("--mask-rate", 0.01, 0.9, "The share of tokens to be guessed (default: 0.15).");
        Option<int?> seed = Options.Number("--seed", 0, "Which tokens are masked (default: 99).");
        Option<int?> windows = Options.Number("--windows", 1, "Windows at most, spread evenly over the text (default: all).");
        var mlm = new Command("mlm", "Measures a masked language model: accuracy and perplexity of the masked tokens.") { input, length, maskRate, seed, windows };
        common.Run(mlm, (invocation, result) => Run(invocation, result.GetRequiredValue(input),
            new MaskedLanguageOptions(result.GetValue(length) ?? 128, MaskRate: result.GetValue(maskRate) ?? 0.15), (ulong)(result.GetValue(seed) ?? 99), result.GetValue(windows) ?? int.MaxValue));
        return new Command("evaluate", "Measures a model.") { mlm, EvaluateTaskCommand.Create(common, TaskKind.Texts), EvaluateTaskCommand.Create(common, TaskKind.Tokens), EvaluateEmbedCommand.Create(common), EvaluateHeadsCommand.Create(common) };
    }

    private static int Run(Invocation invocation, string input, MaskedLanguageOptions options, ulong seed, int windows)
    {
        invocation.NeedFloat32("evaluate mlm");
        Tokenizer tokenizer = invocation.LoadTokenizer();
        var model = new TrainableModel(invocation.ModelDirectory, invocation.Threads ?? Environment.ProcessorCount);
        int[] stream = TextCorpus.Read(input, tokenizer, tokenizer.Vocabulary.IdOf("[SEP]")).Tokens;
        MaskedLanguageResult result = new MaskedLanguageTask(model, tokenizer, [], options).Evaluate(stream, seed, windows);
        if (result.Masked == 0) throw new InvalidDataException($"{input}: no token of it was masked, so there is nothing to measure; give more text or a higher --mask-rate.");
        if (invocation.Json)
            JsonLineWriter.Write(invocation.Terminal, result, Write);
        else
            invocation.Terminal.Text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"masked accuracy  {result.Accuracy:p2}\nperplexity       {result.Perplexity:f2}\nloss             {result.Loss:f4}\nmasked tokens    {result.Masked:N0}"));
        return 0;
    }

    private static void Write(Utf8JsonWriter json, MaskedLanguageResult result)
    {
        json.WriteStartObject();
        json.WriteNumber("masked_accuracy", result.Accuracy);
        json.WriteNumber("perplexity", result.Perplexity);
        json.WriteNumber("loss", result.Loss);
        json.WriteNumber("masked", result.Masked);
        json.WriteEndObject();
    }
}
