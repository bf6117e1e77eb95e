using System.CommandLine;
using System.Globalization;
using Qkv.App.Training;
using Qkv.Parameters;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv train mlm</c>: a masked language model learns from text.</summary>
internal static class TrainCommand
{
    public static Command Create(CommonOptions common)
    {
        var input = new Option<string>("--input") { Description = "Text to learn from: UTF-8, documents separated by blank lines; .gz is unpacked.", HelpName = "FILE", Required = true };
        var validation = Options.Text("--valid", "FILE", "Text to measure on, which is not learned from.");
        var output = new Option<string>("--output") { Description = "Directory of the model. Where it has a checkpoint of the same run, the run goes on.", HelpName = "DIR", Required = true };
        var vocabulary = Options.Text("--vocabulary", "FILE", "Start from nothing, with this vocab.txt (default: go on from --model).");
        Option<int?> layers = Options.Number("--layers", 1, "Layers of a new model (default: 4).");
        Option<int?> hidden = Options.Number("--hidden", 1, "Features of a new model (default: 256).");
        Option<int?> heads = Options.Number("--heads", 1, "Attention heads of a new model (default: 4).");
        Option<int?> intermediate = Options.Number("--intermediate", 1, "Features inside the feed-forward of a new model (default: 1024).");
        Option<int?> steps = Options.Number("--steps", 1, "Steps of the run.");
        Option<double?> minutes = Options.Real("--minutes", 0.01, 1e6, "Minutes of the run, where no steps are given (default: 30).");
        Option<int?> length = Options.Number("--length", 3, "Tokens of a window (default: 128).");
        Option<WindowPhase[]?> curriculum = Curriculum("--curriculum");
        Option<int?> batch = Options.Number("--batch-tokens", 16, "Tokens of a step (default: 4096).");
        Option<double?> maskRate = Options.Real("--mask-rate", 0.01, 0.9, "The share of tokens to be guessed (default: 0.15).");
        Option<double?> rate = Options.Real("--learning-rate", 1e-9, 10, "The highest learning rate (default: 0.001).");
        Option<double?> warmUp = Options.Real("--warm-up", 0, 1, "The part of the run in which the rate rises (default: 0.03).");
        Option<int?> seed = Options.Number("--seed", 0, "Where the random numbers start (default: 1): same seed, same bits, whatever the threads.");
        Option<double?> checkpoint = Options.Real("--checkpoint-seconds", 0, 86400, "Seconds between checkpoints (default: 300): what a power cut can cost.");
        var learning = new LearningOptions(fineTuning: false);
        var mlm = new Command("mlm", "Trains a masked language model on text.")
        {
            input, validation, output, vocabulary, layers, hidden, heads, intermediate, steps, minutes, length, curriculum, batch, maskRate, rate, warmUp, seed, checkpoint,
        };
        learning.AddTo(mlm);
        common.Run(mlm, (invocation, result) => Run(invocation, new MaskedLanguageRun
        {
            Prepare = learning.Read(result),
            Input = result.GetRequiredValue(input),
            Validation = result.GetValue(validation),
            Output = result.GetRequiredValue(output),
            Vocabulary = result.GetValue(vocabulary),
            Shape = new ModelShape(result.GetValue(layers) ?? 4, result.GetValue(hidden) ?? 256, result.GetValue(heads) ?? 4, result.GetValue(intermediate) ?? 1024),
            Windows = new MaskedLanguageOptions(result.GetValue(length) ?? 128, result.GetValue(batch) ?? 4096, result.GetValue(maskRate) ?? 0.15)
            {
                Curriculum = result.GetValue(curriculum) ?? [new WindowPhase(40, 0.35)],
            },
            Options = new TrainerOptions
            {
                Schedule = new Schedule(result.GetValue(rate) ?? 1e-3, result.GetValue(warmUp) ?? 0.03),
                Optimizer = new AdamW(0.9, 0.98, 1e-6, 0.01),
                Steps = result.GetValue(steps),
                Minutes = result.GetValue(minutes) ?? 30,
                Seed = (ulong)(result.GetValue(seed) ?? 1),
                CheckpointSeconds = result.GetValue(checkpoint) ?? 300,
            },
        }));
        return new Command("train", "Trains a model.") { mlm, TrainTaskCommand.Create(common, TaskKind.Texts), TrainTaskCommand.Create(common, TaskKind.Tokens) };
    }

    private static int Run(Invocation invocation, MaskedLanguageRun run)
    {
        using RunDirectory directory = RunDirectory.Open(run.Output, target =>
        {
            if (run.Vocabulary != null) NewModel.Write(target, run.Vocabulary, run.Shape, run.Options.Seed);
            else CopyModel(invocation.ModelDirectory, target);
        });
        var model = new TrainableModel(directory.Working, invocation.Threads ?? Environment.ProcessorCount);
        Tokenizer tokenizer = Tokenizer.Load(directory.Working);
        int separator = tokenizer.Vocabulary.IdOf("[SEP]");
        int[] train = TextCorpus.Read(run.Input, tokenizer, separator).Tokens;
        int[] validation = run.Validation == null ? [] : TextCorpus.Read(run.Validation, tokenizer, separator).Tokens;
        var task = new MaskedLanguageTask(model, tokenizer, train, run.Windows) { Validation = validation };
        string fingerprint = run.Fingerprint(train.Length) + run.Prepare(model);
        directory.Appear(model, fingerprint);

        using var log = new TrainingLog(invocation.Terminal, directory.Path);
        var trainer = new Trainer(model, task, run.Options, directory.Path, fingerprint);
        string begin = string.Create(CultureInfo.InvariantCulture, $"{train.Length:N0} tokens to learn from, {validation.Length:N0} to measure on, {model.Parameters.Sum(parameter => (long)parameter.Count):N0} parameters.");
        TrainingState state = trainer.Run(() => invocation.Note(begin), log.Report);
        log.DrawCurve();
        invocation.Note(string.Create(CultureInfo.InvariantCulture, $"{state.Step:N0} steps, {state.Tokens:N0} tokens in {TimeSpan.FromSeconds(state.Seconds):h\\:mm\\:ss}; the model is in {run.Output}."));
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

    private static void CopyModel(string source, string target)
    {
        _ = EncoderConfig.Load(source);
        foreach (string name in TaskModel.TokenizerFiles.Prepend("config.json"))
            if (File.Exists(Path.Combine(source, name))) File.Copy(Path.Combine(source, name), Path.Combine(target, name));
        new TrainableModel(source, 1).Save(Path.Combine(target, "model.safetensors"));
    }
}
