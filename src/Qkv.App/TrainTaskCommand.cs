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
        var validation = Options.Text("--valid", "FILE", "Examples to measure on, which are not learned from; the model with the best score is kept.");
        var output = new Option<string>("--output") { Description = "Directory of the model. Where it has a checkpoint of the same run, the run goes on.", HelpName = "DIR", Required = true };
        Option<string?> textColumn = LabelledOptions.TextColumn(kind), labelColumn = LabelledOptions.LabelColumn(kind);
        Option<int?> epochs = Options.Number("--epochs", 1, "How often every example is read (default: 8).");
        Option<int?> steps = Options.Number("--steps", 1, "Steps of the run, instead of epochs.");
        Option<double?> minutes = Options.Real("--minutes", 0.01, 1e6, "Minutes of the run, instead of epochs.");
        Option<double?> rate = Options.Real("--learning-rate", 1e-9, 10, "The highest learning rate (default: 0.001).");
        Option<double?> layerDecay = Options.Real("--layer-decay", 0.01, 1, "What the learning rate is multiplied by from each layer to the one below (default: 1).");
        Option<double?> warmUp = Options.Real("--warm-up", 0, 1, "The part of the run in which the rate rises (default: 0.1).");
        Option<int?> batch = Options.Number("--batch-tokens", 16, "Tokens of a step (default: 1024).");
        Option<int?> length = Options.Number("--length", 3, "Tokens of an example to learn from; what is longer is cut (default: as many as the model takes).");
        Option<double?> smoothing = Options.Real("--label-smoothing", 0, 0.9, "The part of each target that is spread over all labels (default: 0).");
        Option<int?> seed = Options.Number("--seed", 0, "Where the random numbers start (default: 1): same seed, same bits, whatever the threads.");
        var command = new Command(texts ? "classify" : "ner", texts ? "Trains a classifier of texts on labelled ones." : "Trains a model that finds entities, on tagged texts.")
        {
            input, validation, output, textColumn, labelColumn, epochs, steps, minutes, rate, layerDecay, warmUp, batch, length, smoothing, seed,
        };
        var learning = new LearningOptions(fineTuning: true);
        learning.AddTo(command);
        common.Run(command, (invocation, result) =>
        {
            LabelledInput Named(string path) => LabelledOptions.Resolve(kind, path, result.GetValue(textColumn), result.GetValue(labelColumn));
            return Run(invocation, new TaskRun
            {
                Kind = kind,
                Prepare = learning.Read(result),
                Input = Named(result.GetRequiredValue(input)),
                Validation = result.GetValue(validation) is { } path ? Named(path) : null,
                Output = result.GetRequiredValue(output),
                Length = result.GetValue(length),
                Epochs = result.GetValue(epochs) ?? 8,
                Examples = new ExampleOptions(result.GetValue(batch) ?? 1024, (float)(result.GetValue(smoothing) ?? 0)),
                Options = new TrainerOptions
                {
                    Schedule = new Schedule(result.GetValue(rate) ?? 1e-3, result.GetValue(warmUp) ?? 0.1),
                    Optimizer = new AdamW(0.9, 0.98, 1e-6, 0.01),
                    LayerDecay = result.GetValue(layerDecay) ?? 1,
                    Steps = result.GetValue(steps),
                    Minutes = result.GetValue(minutes),
                    Seed = (ulong)(result.GetValue(seed) ?? 1),
                    KeepBest = true,
                },
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
        long epoch = task.Batches.Steps(run.Options.Seed, 1);
        long? steps = run.Options.Steps ?? (run.Options.Minutes == null ? task.Batches.Steps(run.Options.Seed, run.Epochs) : null);
        long tokens = train.Sum(example => (long)example.Ids.Length);
        string fingerprint = run.Fingerprint(steps, rows.Count, tokens) + run.Prepare(model);
        directory.Appear(model, fingerprint);

        using var log = new TrainingLog(invocation.Terminal, directory.Path);
        var trainer = new Trainer(model, task, run.Options with { Steps = steps, EvaluateEvery = (int)epoch }, directory.Path, fingerprint);
        string begin = string.Create(CultureInfo.InvariantCulture, $"{rows.Count:N0} examples of {tokens:N0} tokens to learn from, {validationRows.Count:N0} to measure on, {labels.Length:N0} {(texts ? "labels" : "tags")}.");
        TrainingState state = trainer.Run(() => invocation.Note(begin), log.Report);
        log.DrawCurve();
        string best = double.IsNaN(state.Best) ? "" : string.Create(CultureInfo.InvariantCulture, $" of {(texts ? "accuracy" : "entity F1")} {state.Best:p1}");
        invocation.Note(string.Create(CultureInfo.InvariantCulture, $"{state.Step:N0} steps, {state.Tokens:N0} tokens in {TimeSpan.FromSeconds(state.Seconds):h\\:mm\\:ss}; the model{best} is in {run.Output}."));
        return 0;
    }
}
