using System.CommandLine;
using System.Globalization;
using Qkv.App.Training;
using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv train embed</c>: an encoder learns to give texts that belong together vectors that are near each other.</summary>
internal static class TrainEmbedCommand
{
    // Pairs that are measured along the way, and the most that a text file gives: more would be memory, not variety.
    private const int MostMeasured = 1000;
    private const int MostSentencePairs = 200_000;

    public static Command Create(CommonOptions common)
    {
        var input = new Option<string[]>("--input") { Description = $"Pairs of texts that belong together: {PairOptions.Format}. May be given several times.", HelpName = "FILE", Required = true };
        var training = new TrainingOptions(new TrainingDefaults { Measured = "--valid or --hold-out", LearningRate = 5e-4, WarmUp = 0.05, BatchTokens = 8192, Epochs = 5, EvaluateEvery = 200, KeepsBest = true, FineTunes = true });
        Option<(string Anchor, string Positive)?> columns = PairOptions.Columns();
        Option<int?> holdOut = PairOptions.HoldOut("Keep so many pairs of the first --input, chosen by a hash of their texts, out of training and measure on them; with any other pair that shares a text with one.");
        var text = new Option<string[]>("--text") { Description = "Plain text whose neighbouring sentences are pairs too: documents separated by blank lines; .gz is unpacked. May be given several times.", HelpName = "FILE" };
        Option<double?> textShare = Options.Real("--text-share", 0, 0.99, "The share of steps that read pairs from --text (default: 0.25).");
        var mlm = Options.Text("--mlm", "FILE", "Text for the masked language model, which is learned beside the pairs (default: none, its head stays as it is).");
        Option<double?> mlmWeight = Options.Real("--mlm-weight", 0, 1000, "What the masked language model's loss counts (default: 1).");
        Option<int[]?> mlmLengths = Lengths("--mlm-lengths");
        Option<int?> mlmTokens = Options.Number("--mlm-tokens", 16, "Tokens of a step for the masked language model (default: 4096).");
        Option<double?> maskRate = Options.Real("--mask-rate", 0.01, 0.9, "The share of those tokens to be guessed (default: 0.15).");
        Option<int?> pairs = Options.Number("--batch-pairs", 2, "Pairs of a step: each is told from all the others (default: 128).");
        Option<int?> length = Options.Number("--max-length", 3, "Tokens of a text to learn from; what is longer is cut (default: 128).");
        Option<string?> pooling = Options.Choice("--pooling", ["mean", "cls", "max"], "How hidden states become one vector (default: as the model says, else mean).");
        Option<double?> temperature = Options.Real("--temperature", 0.001, 10, "What cosines are divided by (default: 0.05).");
        Option<bool> oneWay = Options.Flag("--one-way", "Only the first text looks for the second, as a question for its answer (default: both ways).");
        Option<double?> layerDecay = Options.Real("--layer-decay", 0.01, 1, "What the learning rate is multiplied by from each layer to the one below (default: 1).");
        var command = new Command("embed", "Trains embeddings on pairs of texts that belong together, each told from all others of its batch.")
        {
            input, columns, holdOut, text, textShare, mlm, mlmWeight, mlmLengths, mlmTokens, maskRate, pairs, length, pooling, temperature, oneWay, layerDecay,
        };
        training.AddTo(command);
        common.Run(command, (invocation, result) =>
        {
            if (result.GetValue(holdOut) != null && result.GetValue(training.Validation) != null) throw new UsageException("--hold-out and --valid each name pairs to measure on; give one.");
            if (result.GetValue(textShare) != null && result.GetValue(text) is not { Length: > 0 }) throw new UsageException("--text-share is the share of --text FILE, which is not given.");
            // Where an option of several values is not given, they are none.
            int most = EncoderConfig.Load(invocation.ModelDirectory).MaxPositions;
            int[] lengths = result.GetValue(mlmLengths) is { Length: > 0 } given ? given : [Math.Min(128, most), Math.Min(512, most)];
            return Run(invocation, new EmbedRun
            {
                Inputs = result.GetRequiredValue(input),
                Columns = result.GetValue(columns),
                Validation = result.GetValue(training.Validation),
                HoldOut = result.GetValue(holdOut) ?? 0,
                Texts = result.GetValue(text) ?? [],
                MaskedLanguage = result.GetValue(mlm),
                Windows = new MaskedLanguageOptions(lengths[0], result.GetValue(mlmTokens) ?? 4096, result.GetValue(maskRate) ?? 0.15) { Turns = lengths, Weight = (float)(result.GetValue(mlmWeight) ?? 1) },
                Prepare = training.Prepare(result),
                Output = result.GetRequiredValue(training.Output),
                Length = result.GetValue(length) ?? 128,
                Contrastive = new ContrastiveOptions(result.GetValue(pairs) ?? 128, training.BatchTokens(result),
                    result.GetValue(pooling) switch { "mean" => Pooling.Mean, "cls" => Pooling.Cls, "max" => Pooling.Max, _ => EmbeddingRecipe.Load(invocation.ModelDirectory).Pooling },
                    new ContrastiveLoss((float)(result.GetValue(temperature) ?? 0.05), !result.GetValue(oneWay)), result.GetValue(textShare) ?? 0.25),
                Options = training.Read(result, holdsOut: result.GetValue(holdOut) != null) with { LayerDecay = result.GetValue(layerDecay) ?? 1 },
            });
        });
        return command;
    }

    private static int Run(Invocation invocation, EmbedRun run)
    {
        // Everything that can be wrong with the data is found before the directory appears.
        List<TextPair> first = PairFile.Read(run.Inputs[0], run.Columns), measured = run.HoldOut > 0 ? DistinctPairs.Take(first, run.HoldOut) : [];
        List<TextPair> all = [.. first, .. run.Inputs.Skip(1).SelectMany(path => PairFile.Read(path, run.Columns))];
        List<TextPair> sentences = [.. run.Texts.SelectMany(path => SentencePairs.Read(path, MostSentencePairs, run.Options.Seed))];
        if (run.HoldOut > 0) (all, sentences) = (DistinctPairs.Without(all, measured), DistinctPairs.Without(sentences, measured));
        if (all.Count < 2) throw new InvalidDataException($"{run.Inputs[0]}: {all.Count} pairs are left to learn from; a pair is told from others, so it takes two at least.");
        if (run.Validation is { } path) measured = PairFile.Read(path, run.Columns);

        Tokenizer tokenizer = invocation.LoadTokenizer();
        EncoderConfig config = EncoderConfig.Load(invocation.ModelDirectory);
        EmbeddingRecipe recipe = EmbeddingRecipe.Load(invocation.ModelDirectory);
        int longest = Math.Min(LabelledInput.LongestText(config, tokenizer), recipe.MaxTokens ?? int.MaxValue), length = Math.Min(run.Length, longest);
        List<PairExample> train = PairExample.Encode(all, tokenizer, length, recipe.DefaultPrompt);
        List<PairExample> text = PairExample.Encode(sentences, tokenizer, length, recipe.DefaultPrompt);
        int[] windows = run.MaskedLanguage == null ? [] : TextCorpus.Read(run.MaskedLanguage, tokenizer, tokenizer.Vocabulary.IdOf("[SEP]")).Tokens;

        using RunDirectory directory = RunDirectory.Open(run.Output, target => TaskModel.WriteEmbedder(invocation.ModelDirectory, target, run.Contrastive.Pooling, longest));
        var model = new TrainableModel(directory.Working, invocation.Threads ?? Environment.ProcessorCount);
        var task = new ContrastiveTask(model, train, text, run.Contrastive)
        {
            MaskedLanguage = run.MaskedLanguage == null ? null : new MaskedLanguageTask(model, tokenizer, windows, run.Windows),
            Weight = run.Windows.Weight,
            Validation = PairExample.Encode(DistinctPairs.Take(measured, MostMeasured), tokenizer, longest, recipe.DefaultPrompt),
        };
        string begin = string.Create(CultureInfo.InvariantCulture, $"{train.Count:N0} pairs and {text.Count:N0} neighbouring sentences to learn from, {windows.Length:N0} tokens to guess in, {task.Validation.Count:N0} pairs to measure on.");
        TrainingSession.Run(invocation, directory, model, task, run.Options.InSteps(epochs => task.Steps(run.Options.Seed, epochs)), run.Fingerprint(train.Count, text.Count, windows.Length, task.Validation.Count) + run.Prepare(model), begin);
        return 0;
    }

    private static Option<int[]?> Lengths(string name) => new(name)
    {
        Description = "Tokens of the masked language model's windows; several lengths take turns (default: 128,512).",
        HelpName = "L,...",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            string[] parts = text.Split(',');
            int[] lengths = [.. parts.Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int length) ? length : 0).Where(length => length >= 3)];
            if (lengths.Length == parts.Length) return lengths;
            result.AddError($"{name} must be lengths of at least 3, as in 128,512, but is '{text}'");
            return null;
        },
    };
}
