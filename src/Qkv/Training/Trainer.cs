using System.Diagnostics;
using System.Globalization;
using Qkv.Encoders;

namespace Qkv.Training;

/// <summary>How long a run lasts, how it steps, and how often it looks up.</summary>
internal sealed record TrainerOptions
{
    public required Schedule Schedule { get; init; }

    public AdamW Optimizer { get; init; } = new();

    /// <summary>Steps of the run, or null where minutes or epochs decide.</summary>
    public long? Steps { get; init; }

    /// <summary>Minutes of the run, or null where steps or epochs decide.</summary>
    public double? Minutes { get; init; }

    /// <summary>How often everything is read, or null where steps or minutes decide.</summary>
    public int? Epochs { get; init; }

    /// <summary>The gradient's norm is cut to this.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>Batches that make one step.</summary>
    public int Accumulation { get; init; } = 1;

    public ulong Seed { get; init; }

    /// <summary>Steps between evaluations; null for one an epoch.</summary>
    public int? EvaluateEvery { get; init; }

    /// <summary>Evaluations without a better score that end the run; null to go on.</summary>
    public int? Patience { get; init; }

    /// <summary>A step after which this sitting ends with a checkpoint, or null; the run itself is none the shorter.</summary>
    public long? StopAfter { get; init; }

    /// <summary>Seconds between checkpoints.</summary>
    public double CheckpointSeconds { get; init; } = 300;

    /// <summary>Whether model.safetensors stays at the best evaluation, and not at the last step.</summary>
    public bool KeepBest { get; init; }

    /// <summary>What the learning rate is multiplied by from each layer to the one below it; 1 for the same everywhere.</summary>
    public double LayerDecay { get; init; } = 1;

    /// <summary>What must be the same for a run to go on with the same bits.</summary>
    public string Fingerprint => string.Create(CultureInfo.InvariantCulture,
        $"rate={Schedule.Peak}:{Schedule.WarmUp}:{Schedule.Decline}:{LayerDecay} decay={Optimizer.Decay} clip={Clip} accumulation={Accumulation} epochs={Epochs} steps={Steps} evaluate={EvaluateEvery} patience={Patience} seed={Seed}");

    /// <summary>The same with epochs counted in steps.</summary>
    /// <param name="batches">Batches of so many epochs.</param>
    public TrainerOptions InSteps(Func<int, long> batches)
    {
        long StepsOf(int epochs) => (batches(epochs) + Accumulation - 1) / Accumulation;
        return this with { Steps = Epochs is { } epochs ? StepsOf(epochs) : Steps, EvaluateEvery = EvaluateEvery ?? (int)StepsOf(1) };
    }
}

/// <summary>What a run says of itself.</summary>
/// <param name="State">How far it has come.</param>
/// <param name="Loss">Mean training loss since the last report.</param>
/// <param name="Rate">The learning rate.</param>
/// <param name="GradientNorm">Before clipping.</param>
/// <param name="Progress">0 … 1</param>
/// <param name="Evaluation">The result, where this report is one of an evaluation.</param>
internal readonly record struct TrainingReport(TrainingState State, double Loss, double Rate, double GradientNorm, double Progress, Evaluation? Evaluation);

/// <summary>
/// The training loop: gradients, clipping, AdamW, evaluation, checkpoints. Same seed, same bits, whatever the number of threads, and
/// whether or not the run was interrupted.
/// </summary>
internal sealed class Trainer(TrainableModel model, ITrainingTask task, TrainerOptions options, string directory, string fingerprint)
{
    /// <summary>Runs to the end, from the checkpoint in the directory.</summary>
    /// <param name="begin">Called once the checkpoint, if any, has been found to fit.</param>
    /// <param name="report">Called after every step.</param>
    /// <param name="cancellation">Ends the run after the step, with a checkpoint.</param>
    /// <exception cref="InvalidDataException">The loss is not finite, and the last checkpoint is kept; or the checkpoint does not fit.</exception>
    public TrainingState Run(Action begin, Action<TrainingReport> report, CancellationToken cancellation = default)
    {
        foreach (string leftover in Directory.GetFiles(directory, "*.safetensors.*.tmp")) File.Delete(leftover); // of a run that was killed while it wrote
        TrainingState state = Checkpoint.Load(directory, model, fingerprint);
        begin();
        double before = state.Seconds, saved = before;
        var clock = Stopwatch.StartNew();
        int threads = model.Encoder.Threads;
        while (!IsOver(state) && !(state.Step >= options.StopAfter) && !cancellation.IsCancellationRequested)
        {
            double progress = Progress(state), loss = 0;
            int tokens = 0;
            for (int part = 0; part < options.Accumulation; part++)
            {
                long batch = state.Step * options.Accumulation + part + 1;
                model.Dropout = model.Dropout.At(options.Seed, batch);
                (double partLoss, int partTokens) = task.Learn(options.Seed, batch, progress);
                loss += partLoss / options.Accumulation;
                tokens += partTokens;
            }
            if (!double.IsFinite(loss))
                throw new InvalidDataException($"The loss of step {state.Step + 1} is not finite; lower the learning rate (now {options.Schedule.Peak}) and run again: the last checkpoint in {directory} is whole.");
            double norm = AdamW.GradientNorm(model.Learning, threads) / options.Accumulation;
            double scale = Math.Min(1, options.Clip / Math.Max(norm, 1e-12)) / options.Accumulation, rate = options.Schedule.RateAt(progress);
            foreach (Parameter parameter in model.Learning.Where(task.Learns)) options.Optimizer.Step(parameter, state.Step + 1, rate * Share(parameter), (float)scale, threads);
            model.Refresh();
            state = state with { Step = state.Step + 1, Tokens = state.Tokens + tokens, Seconds = before + clock.Elapsed.TotalSeconds };

            Evaluation? evaluation = IsOver(state) || state.Step % options.EvaluateEvery == 0 ? task.Evaluate() : null;
            if (evaluation is { } result)
            {
                bool better = !(result.Score <= state.Best);
                state = better ? state with { Best = result.Score, Stale = 0 } : state with { Stale = state.Stale + 1 };
                if (better && options.KeepBest) SaveModel();
            }
            bool last = IsOver(state) || state.Step >= options.StopAfter;
            report(new TrainingReport(state, loss, rate, norm, Progress(state), evaluation));
            if (!last && state.Seconds - saved < options.CheckpointSeconds && !cancellation.IsCancellationRequested) continue;
            saved = state.Seconds;
            if (!options.KeepBest || double.IsNaN(state.Best)) SaveModel();
            Checkpoint.Save(directory, model, state);
        }
        return state;
    }

    private void SaveModel() => model.Save(Path.Combine(directory, "model.safetensors"));

    /// <summary>What a parameter gets of the learning rate: the nearer to the text, the less, as it fits every task already.</summary>
    private double Share(Parameter parameter) => Math.Pow(options.LayerDecay, model.Config.Layers + 1 - model.DepthOf(parameter));

    private bool IsOver(TrainingState state) => Progress(state) >= 1 || state.Stale >= options.Patience;

    private double Progress(TrainingState state) =>
        options.Steps is { } steps ? (double)state.Step / steps : state.Seconds / (60 * options.Minutes ?? throw new InvalidOperationException("A run needs steps or minutes."));
}
