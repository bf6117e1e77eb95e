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
        var training = new TrainingOptions(new TrainingDefaults { Epochs = 8, KeepsBest = true, FineTunes = true });
        Option<string?> textColumn = LabelledOptions.TextColumn(kind), labelColumn = LabelledOptions.LabelColumn(kind);
        Option<double?> layerDecay = Options.Real("--layer-decay", 0.01, 1, "What the learning rate is multiplied by from each layer to the one below (default: 1).");
        Option<int?> length = Options.Number("--length", 3, "Tokens of an example to learn from; what is longer is cut (default: as many as the model takes).");
        Option<double?> smoothing = Options.Real("--label-smoothing", 0, 0.9, "The part of each target that is spread over all labels (default: 0).");
        Option<string?> pairColumn = LabelledOptions.PairColumn(), separator = LabelledOptions.Separator();
        Option<bool> multiLabel = Options.Flag("--multi-label", "A text may have any number of labels."), regression = Options.Flag("--regression", "The label is a number to be predicted.");
        var command = new Command(texts ? "classify" : "ner", texts ? "Trains a classifier of texts on labelled ones." : "Trains a model that finds entities, on tagged texts.")
        {
            input, textColumn, labelColumn, layerDecay, length, smoothing,
        };
        if (texts)
            foreach (Option option in (Option[])[pairColumn, multiLabel, separator, regression]) command.Add(option);
        training.AddTo(command);
        common.Run(command, (invocation, result) =>
        {
            bool several = result.GetValue(multiLabel) || result.GetValue(separator) != null, number = result.GetValue(regression);
            if (several && number) throw new UsageException("--regression learns one number a text; leave out --multi-label and --label-separator.");
            if (result.GetValue(smoothing) > 0 && (several || number)) throw new UsageException("--label-smoothing is for texts of one label; leave it out.");
            if (result.GetValue(separator) == "") throw new UsageException("--label-separator must not be empty.");
            LabelledInput Named(string path)
            {
                LabelledInput file = LabelledOptions.Resolve(kind, path, result.GetValue(textColumn), result.GetValue(labelColumn), result.GetValue(pairColumn));
                return several ? file with { Columns = file.Columns with { Separator = result.GetValue(separator) ?? LabelledOptions.DefaultSeparator } } : file;
            }
            return Run(invocation, new TaskRun
            {
                Kind = kind,
                Prepare = training.Prepare(result),
                Labels = several ? SequenceLossKind.MultiLabel : number ? SequenceLossKind.Regression : SequenceLossKind.SingleLabel,
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
        invocation.NeedFloat32("train");
        // Everything that can be wrong with the data is found before the directory appears.
        List<LabelledRow> rows = run.Input.Read(), validationRows = run.Validation?.Read() ?? [];
        Tokenizer tokenizer = invocation.LoadTokenizer();
        int longest = LabelledInput.LongestText(Qkv.Parameters.EncoderConfig.Load(invocation.ModelDirectory), tokenizer), length = Math.Min(run.Length ?? longest, longest);
        return run.Kind == TaskKind.Texts ? LearnTexts() : LearnTokens();

        int LearnTexts()
        {
            LabelSet labels = LabelSet.Of(run.Input.Path, rows, run.Labels, run.Input.Columns.Separator);
            List<TextExample> train = LabelledTexts.Encode(run.Input.Path, rows, labels, tokenizer, length);
            List<TextExample> validation = run.Validation is { } file ? LabelledTexts.Encode(file.Path, validationRows, labels, tokenizer, longest) : [];
            return Learn(train, labels.Names, labels.ProblemType, labels.Lonely(rows), model => ExampleTask.OfTexts(model, train, validation, labels, run.Examples));
        }

        int LearnTokens()
        {
            string[] tags = TaggedTexts.TagsOf(run.Input.Path, rows);
            List<TaggedExample> train = TaggedTexts.Encode(run.Input.Path, rows, tags, tokenizer, length);
            List<TaggedExample> validation = run.Validation is { } file ? TaggedTexts.Encode(file.Path, validationRows, tags, tokenizer, longest) : [];
            return Learn(train, tags, null, TaggedTexts.Lonely(run.Input.Path, rows), model => ExampleTask.OfTokens(model, train, validation, run.Examples));
        }

        int Learn(IReadOnlyList<Example> train, IReadOnlyList<string> labels, string? problem, string[] lonely, Func<TrainableModel, ExampleTask> create)
        {
            if (lonely.Length > 0)
                invocation.Note($"{run.Input.Path} has only one example of {string.Join(", ", lonely.Take(8))}{(lonely.Length > 8 ? " and others" : "")}; little can be learned from one.");
            using RunDirectory directory = RunDirectory.Open(run.Output, target =>
                TaskModel.Write(invocation.ModelDirectory, target, problem != null ? ClassifierKind.Sequence : ClassifierKind.Token, labels, problem, run.Options.Seed));
            var model = new TrainableModel(directory.Working, invocation.Threads ?? Environment.ProcessorCount);
            if (!labels.SequenceEqual(model.Config.Labels ?? []))
                throw new UsageException($"--output '{run.Output}' holds a run with other labels; name another directory.");
            ExampleTask task = create(model);
            long tokens = train.Sum(example => (long)example.Ids.Length);
            string begin = string.Create(CultureInfo.InvariantCulture, $"{train.Count:N0} examples of {tokens:N0} tokens to learn from, {validationRows.Count:N0} to measure on, {labels.Count:N0} {(problem != null ? "labels" : "tags")}.");
            TrainingSession.Run(invocation, directory, model, task, run.Options.InSteps(epochs => task.Batches.Steps(run.Options.Seed, epochs)), run.Fingerprint(train.Count, tokens, validationRows.Count) + run.Prepare(model), begin);
            return 0;
        }
    }
}
