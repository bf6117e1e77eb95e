using System.CommandLine;
using System.Globalization;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>What one kind of training does where an option says nothing.</summary>
internal sealed record TrainingDefaults
{
    public double LearningRate { get; init; } = 1e-3;

    public double WarmUp { get; init; } = 0.1;

    public int BatchTokens { get; init; } = 1024;

    /// <summary>How long a run lasts: epochs, or else minutes.</summary>
    public int? Epochs { get; init; }

    /// <summary>Steps between evaluations; null for one an epoch.</summary>
    public int? EvaluateEvery { get; init; }

    /// <summary>The options that give it something to measure on.</summary>
    public string Measured { get; init; } = "--valid";

    /// <summary>Whether a model that is there already learns a task: then some of it is dropped.</summary>
    public bool FineTunes { get; init; }

    /// <summary>Whether the best evaluation is kept and not the last step, also where no patience is given.</summary>
    public bool KeepsBest { get; init; }
}

/// <summary>The options that every kind of training has: where to, how long, how it steps, and how often it looks up.</summary>
internal sealed class TrainingOptions(TrainingDefaults defaults)
{
    private const double Minutes = 30;

    private readonly Option<int?> _epochs = Options.Number("--epochs", 1, $"How often everything is read{(defaults.Epochs is { } epochs ? $" (default: {epochs})" : "")}.");
    private readonly Option<int?> _steps = Options.Number("--steps", 1, "Steps of the run, instead of epochs.");
    private readonly Option<double?> _minutes = Options.Real("--minutes", 0.01, 1e6, $"Minutes of the run, instead of epochs or steps{(defaults.Epochs is null ? $" (default: {Minutes})" : "")}.");
    private readonly Option<int?> _batch = Options.Number("--batch-tokens", 16, $"Tokens of a batch (default: {defaults.BatchTokens}).");
    private readonly Option<int?> _accumulation = Options.Number("--accumulation", 1, "Batches whose gradients make one step (default: 1).");
    private readonly Option<double?> _rate = Options.Real("--learning-rate", 1e-9, 10, Default("The highest learning rate", defaults.LearningRate));
    private readonly Option<double?> _warmUp = Options.Real("--warm-up", 0, 1, Default("The part of the run in which the rate rises", defaults.WarmUp));
    private readonly Option<string?> _schedule = Options.Choice("--schedule", [.. Enum.GetNames<Decline>().Select(name => name.ToLowerInvariant())], "How the rate falls after that (default: linear).");
    private readonly Option<double?> _decay = Options.Real("--weight-decay", 0, 1, "What parameters lose of themselves in a step, times the rate; biases and LayerNorms lose nothing (default: 0.01).");
    private readonly Option<double?> _clip = Options.Real("--clip", 1e-6, 1e6, "What the gradient's norm is cut to (default: 1).");
    private readonly Option<int?> _evaluateEvery = Options.Number("--evaluate-every", 1, $"Steps between evaluations on --valid (default: {(defaults.EvaluateEvery is { } every ? $"{every}" : "an epoch")}).");
    private readonly Option<int?> _patience = Options.Number("--patience", 1, "Ends the run after so many evaluations without a better score, and keeps the best model (default: goes on).");
    private readonly Option<int?> _stopAfter = Options.Number("--stop-after", 1, "A step after which to stop with a checkpoint; the same command without it goes on with the run.");
    private readonly Option<double?> _checkpoint = Options.Real("--checkpoint-seconds", 0, 86400, "Seconds between checkpoints (default: 300): what a power cut can cost.");
    private readonly Option<int?> _seed = Options.Number("--seed", 0, "Where the random numbers start (default: 1): same seed, same bits, whatever the threads.");

    private readonly LearningOptions _learning = new(defaults.FineTunes);

    public Option<string?> Validation { get; } = Options.Text("--valid", "FILE", "What to measure on along the way; it is not learned from.");

    public Option<string> Output { get; } = new("--output") { Description = "Directory of the model. Where it has a checkpoint of the same run, the run goes on.", HelpName = "DIR", Required = true };

    /// <summary>Gives a command all of them.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[Validation, Output, _epochs, _steps, _minutes, _batch, _accumulation, _rate, _warmUp, _schedule, _decay, _clip, _evaluateEvery, _patience, _stopAfter, _checkpoint, _seed])
            command.Add(option);
        _learning.AddTo(command);
    }

    /// <summary>What sets a model up for the run, and returns what of that belongs into the fingerprint.</summary>
    public Func<TrainableModel, string> Prepare(ParseResult result) => _learning.Read(result);

    public int BatchTokens(ParseResult result) => result.GetValue(_batch) ?? defaults.BatchTokens;

    /// <param name="result">What was given.</param>
    /// <param name="holdsOut">Whether there is something to measure on even without --valid.</param>
    /// <exception cref="UsageException">Two options contradict each other, or one lacks another.</exception>
    public TrainerOptions Read(ParseResult result, bool holdsOut = false)
    {
        (int? epochs, int? steps, double? minutes, int? patience) = (result.GetValue(_epochs), result.GetValue(_steps), result.GetValue(_minutes), result.GetValue(_patience));
        if ((epochs != null ? 1 : 0) + (steps != null ? 1 : 0) + (minutes != null ? 1 : 0) > 1) throw new UsageException("--epochs, --steps and --minutes each say how long the run lasts; give one.");
        if (patience != null && !holdsOut && result.GetValue(Validation) == null) throw new UsageException($"--patience waits for a better score, which needs {defaults.Measured}.");
        if (result.GetValue(_evaluateEvery) != null && !holdsOut && result.GetValue(Validation) == null) throw new UsageException($"--evaluate-every says when to measure, which needs {defaults.Measured}.");
        bool unsaid = epochs == null && steps == null && minutes == null;
        return new TrainerOptions
        {
            Schedule = new Schedule(result.GetValue(_rate) ?? defaults.LearningRate, result.GetValue(_warmUp) ?? defaults.WarmUp, Enum.Parse<Decline>(result.GetValue(_schedule) ?? nameof(Decline.Linear), ignoreCase: true)),
            Optimizer = new AdamW(0.9, 0.98, 1e-6, result.GetValue(_decay) ?? 0.01),
            Epochs = unsaid ? defaults.Epochs : epochs,
            Steps = steps,
            Minutes = unsaid && defaults.Epochs == null ? Minutes : minutes,
            Accumulation = result.GetValue(_accumulation) ?? 1,
            Clip = result.GetValue(_clip) ?? 1,
            EvaluateEvery = result.GetValue(_evaluateEvery) ?? defaults.EvaluateEvery,
            Patience = patience,
            KeepBest = defaults.KeepsBest || patience != null,
            StopAfter = result.GetValue(_stopAfter),
            CheckpointSeconds = result.GetValue(_checkpoint) ?? 300,
            Seed = (ulong)(result.GetValue(_seed) ?? 1),
        };
    }

    private static string Default(string description, double value) => string.Create(CultureInfo.InvariantCulture, $"{description} (default: {value}).");
}
