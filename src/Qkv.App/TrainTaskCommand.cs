using System.CommandLine;
using System.Globalization;
using Qkv.App.Training;
using Qkv.Encoders;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv train classify</c> and <c>qkv train ner</c>: an encoder learns labels of texts, or of tokens.</summary>
internal static class TrainTaskCommand
{
    public static Command Create(CommonOptions common, TaskKind kind)
    {
        bool texts = kind == TaskKind.Texts;
        Option<string> input = LabelledOptions.Input("Examples to learn from");
        var training = new TrainingOptions(new TrainingDefaults { Epochs = 8, KeepsBest = true });
        Option<string?> textColumn = LabelledOptions.TextColumn(kind), labelColumn = LabelledOptions.LabelColumn(kind);
        Option<double?> layerDecay = Options.Real("--layer-decay", 0.01, 1, "What the learning rate is multiplied by from each layer to the one below (default: 1).");
        Option<int?> length = Options.Number("--length", 3, "Tokens of an example to learn from; what is longer is cut (default: as many as the model takes).");
        Option<double?> smoothing = Options.Real("--label-smoothing", 0, 0.9, "The part of each target that is spread over all labels (default: 0).");
        var command = new Command(texts ? "classify" : "ner", texts ? "Trains a classifier of texts on labelled ones." : "Trains a model that finds entities, on tagged texts.")
        {
            input, textColumn, labelColumn, layerDecay, length, smoothing,
        };
        training.AddTo(command);
        common.Run(command, (invocation, result) =>
        {
            LabelledInput Named(string path) => LabelledOptions.Resolve(kind, path, result.GetValue(textColumn), result.GetValue(labelColumn));
            return Run(invocation, new TaskRun
            {
                Kind = kind,
                Input = Named(result.GetRequiredValue(input)),
                Validation = result.GetValue(training.Validation) is { } path ? Named(path) : null,
                Output = result.GetRequiredValue(training.Output),
                Length = result.GetValue(length),
                Examples = new ExampleOptions(training.BatchTokens(result), (float)(result.GetValue(smoothing) ?? 0)),
                Options = training.Read(result) with { LayerDecay = result.GetValue(layerDecay) ?? 1 },
            });
        });
        return command;
    }

    private static int Run(Invocation invocation, TaskRun run)
    {
        // Everything that can be wrong with the data is found before the directory appears.
        List<LabelledRow> rows = run.Input.Read(), validationRows = run.Validation?.Read() ?? [];
        bool texts = run.Kind == TaskKind.Texts;
        string[] labels = texts ? LabelledTexts.LabelsOf(run.Input.Path, rows) : TaggedTexts.TagsOf(run.Input.Path, rows);
        Tokenizer tokenizer = invocation.LoadTokenizer();
        int longest = LabelledInput.LongestText(Qkv.Parameters.EncoderConfig.Load(invocation.ModelDirectory), tokenizer), length = Math.Min(run.Length ?? longest, longest);
        IReadOnlyList<Example> train = texts ? LabelledTexts.Encode(run.Input.Path, rows, labels, tokenizer, length) : TaggedTexts.Encode(run.Input.Path, rows, labels, tokenizer, length);
        IReadOnlyList<Example> validation = run.Validation is not { } file ? []
            : texts ? LabelledTexts.Encode(file.Path, validationRows, labels, tokenizer, longest) : TaggedTexts.Encode(file.Path, validationRows, labels, tokenizer, longest);
        string[] lonely = texts ? LabelledTexts.Lonely(rows) : TaggedTexts.Lonely(run.Input.Path, rows);
        if (lonely.Length > 0)
            invocation.Note($"{run.Input.Path} has only one example of {string.Join(", ", lonely.Take(8))}{(lonely.Length > 8 ? " and others" : "")}; little can be learned from one.");

        using RunDirectory directory = RunDirectory.Open(run.Output, target =>
            TaskModel.Write(invocation.ModelDirectory, target, texts ? ClassifierKind.Sequence : ClassifierKind.Token, labels, run.Options.Seed));
        var model = new TrainableModel(directory.Working, invocation.Threads ?? Environment.ProcessorCount);
        if (!labels.SequenceEqual(model.Config.Labels ?? []))
            throw new UsageException($"--output '{run.Output}' holds a run with other labels; name another directory.");
        ExampleTask task = texts ? ExampleTask.OfTexts(model, train, validation, run.Examples) : ExampleTask.OfTokens(model, train, [.. validation.Cast<TaggedExample>()], run.Examples);
        long tokens = train.Sum(example => (long)example.Ids.Length);
        string begin = string.Create(CultureInfo.InvariantCulture, $"{rows.Count:N0} examples of {tokens:N0} tokens to learn from, {validationRows.Count:N0} to measure on, {labels.Length:N0} {(texts ? "labels" : "tags")}.");
        TrainingSession.Run(invocation, directory, model, task, run.Options.InSteps(epochs => task.Batches.Steps(run.Options.Seed, epochs)), run.Fingerprint(rows.Count, tokens, validationRows.Count), begin);
        return 0;
    }
}
