using System.CommandLine;
using System.Globalization;
using Qkv.App.Training;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv train mlm</c>: a masked language model learns from text.</summary>
internal static class TrainCommand
{
    public static Command Create(CommonOptions common)
    {
        var input = new Option<string>("--input") { Description = "Text to learn from: UTF-8, documents separated by blank lines; .gz is unpacked.", HelpName = "FILE", Required = true };
        var training = new TrainingOptions(new TrainingDefaults { WarmUp = 0.03, BatchTokens = 4096, EvaluateEvery = 500 });
        var vocabulary = Options.Text("--vocabulary", "FILE", "Start from nothing, with this vocab.txt (default: go on from --model).");
        Option<bool> cased = Options.Flag("--no-lower-case", "The vocabulary has capitals: a new model keeps them.");
        Option<int?> layers = Options.Number("--layers", 1, "Layers of a new model (default: 4).");
        Option<int?> hidden = Options.Number("--hidden", 1, "Features of a new model (default: 256).");
        Option<int?> heads = Options.Number("--heads", 1, "Attention heads of a new model (default: 4).");
        Option<int?> intermediate = Options.Number("--intermediate", 1, "Features inside the feed-forward of a new model (default: 1024).");
        Option<int?> length = Options.Number("--length", 3, "Tokens of a window (default: 128).");
        Option<WindowPhase[]?> curriculum = Curriculum("--curriculum");
        Option<double?> maskRate = Options.Real("--mask-rate", 0.01, 0.9, "The share of tokens to be guessed (default: 0.15).");
        var mlm = new Command("mlm", "Trains a masked language model on text.") { input, vocabulary, cased, layers, hidden, heads, intermediate, length, curriculum, maskRate };
        training.AddTo(mlm);
        common.Run(mlm, (invocation, result) =>
        {
            bool isNew = result.GetValue(vocabulary) != null;
            if (!isNew && ((Option[])[cased, layers, hidden, heads, intermediate]).FirstOrDefault(option => result.GetResult(option) is { Implicit: false }) is { } lost)
                throw new UsageException($"{lost.Name} is about a new model; add --vocabulary FILE, or leave it out to go on with the model as it is.");
            if (isNew && result.GetResult(common.Model) is { Implicit: false }) throw new UsageException("--vocabulary begins a new model, and --model names one that is there; give one of them.");
            var shape = new ModelShape(result.GetValue(layers) ?? 4, result.GetValue(hidden) ?? 256, result.GetValue(heads) ?? 4, result.GetValue(intermediate) ?? 1024);
            if (shape.Hidden % shape.Heads != 0) throw new UsageException($"--hidden must be a multiple of --heads, but {shape.Hidden} is none of {shape.Heads}.");
            return Run(invocation, new MaskedLanguageRun
            {
                Prepare = training.Prepare(result),
                Input = result.GetRequiredValue(input),
                Validation = result.GetValue(training.Validation),
                Output = result.GetRequiredValue(training.Output),
                Vocabulary = result.GetValue(vocabulary),
                LowerCase = !result.GetValue(cased),
                Shape = shape,
                Windows = new MaskedLanguageOptions(result.GetValue(length) ?? 128, training.BatchTokens(result), result.GetValue(maskRate) ?? 0.15)
                {
                    // An option that is not given has an empty array as its value.
                    Curriculum = result.GetResult(curriculum) is null ? [new WindowPhase(40, 0.35)] : result.GetValue(curriculum)!,
                },
                Options = training.Read(result),
            });
        });
        return new Command("train", "Trains a model.") { mlm, TrainTaskCommand.Create(common, TaskKind.Texts), TrainTaskCommand.Create(common, TaskKind.Tokens), TrainEmbedCommand.Create(common), TrainVocabularyCommand.Create(common) };
    }

    private static int Run(Invocation invocation, MaskedLanguageRun run)
    {
        invocation.NeedFloat32("train");
        using RunDirectory directory = RunDirectory.Open(run.Output, target =>
        {
            if (run.Vocabulary != null) NewModel.Write(target, run.Vocabulary, run.Shape, run.Options.Seed, run.LowerCase);
            else TaskModel.Copy(invocation.ModelDirectory, target);
        });
        var model = new TrainableModel(directory.Working, invocation.Threads ?? Environment.ProcessorCount);
        Tokenizer tokenizer = Tokenizer.Load(directory.Working);
        int separator = tokenizer.Vocabulary.IdOf("[SEP]");
        int[] train = TextCorpus.Read(run.Input, tokenizer, separator).Tokens;
        int[] validation = run.Validation == null ? [] : TextCorpus.Read(run.Validation, tokenizer, separator).Tokens;
        var task = new MaskedLanguageTask(model, tokenizer, train, run.Windows) { Validation = validation };
        string begin = string.Create(CultureInfo.InvariantCulture, $"{train.Length:N0} tokens to learn from, {validation.Length:N0} to measure on, {model.Parameters.Sum(parameter => (long)parameter.Count):N0} parameters.");
        TrainingSession.Run(invocation, directory, model, task, run.Options.InSteps(task.Batches), run.Fingerprint(train.Length, validation.Length) + run.Prepare(model), begin);
        return 0;
    }

    private static Option<WindowPhase[]?> Curriculum(string name) => new(name)
    {
        Description = "Windows of other lengths before those of --length, each with the part of the run at which it ends (default: 40:0.35; 'none' for none).",
        HelpName = "L:PART,...",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (text == "none") return [];
            var phases = new List<WindowPhase>();
            foreach (string phase in text.Split(','))
            {
                string[] sides = phase.Split(':');
                if (sides.Length == 2 && int.TryParse(sides[0], NumberStyles.None, CultureInfo.InvariantCulture, out int length) && length >= 3
                    && double.TryParse(sides[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double until) && until > (phases.Count > 0 ? phases[^1].Until : 0) && until <= 1)
                {
                    phases.Add(new WindowPhase(length, until));
                    continue;
                }
                result.AddError($"{name} must be lengths of at least 3 with rising parts of the run up to 1, as in 40:0.3,128:0.8, but has '{phase}'");
                return null;
            }
            return [.. phases];
        },
    };
}
