using Qkv.Encoders;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>When a run looks up, when it ends, and that an interruption changes neither.</summary>
public class TrainerTests
{
    [Fact]
    public void A_run_ends_when_its_patience_does_and_keeps_the_best()
    {
        // Better at the second evaluation only: with a patience of two the fourth is the last.
        using var run = new Run([0.5, 0.7, 0.7, 0.6, 0.9]);
        TrainingState state = run.Go(new TrainerOptions { Schedule = new Schedule(0.01), Steps = 100, EvaluateEvery = 3, Patience = 2, KeepBest = true });
        Assert.Equal((12L, 0.7, 2), (state.Step, state.Best, state.Stale));
        Assert.Equal(6, run.SavedAt);
        // What is over stays over.
        Assert.Equal(12, run.Go(new TrainerOptions { Schedule = new Schedule(0.01), Steps = 100, EvaluateEvery = 3, Patience = 2, KeepBest = true }).Step);
    }

    [Fact]
    public void An_interrupted_run_has_the_same_patience_left()
    {
        var options = new TrainerOptions { Schedule = new Schedule(0.01), Steps = 100, EvaluateEvery = 3, Patience = 3 };
        double[] scores = [0.5, 0.4, 0.45, 0.5, 0.6];
        using Run whole = new(scores), cut = new(scores);
        TrainingState expected = whole.Go(options);
        foreach (int stop in (int[])[1, 6, 8]) cut.Go(options, stop);
        TrainingState found = cut.Go(options);
        Assert.Equal((expected.Step, expected.Best, expected.Stale), (found.Step, found.Best, found.Stale));
        Assert.Equal(12, found.Step);
        Assert.Equal(whole.Parameters, cut.Parameters);
    }

    [Fact]
    public void Accumulated_batches_are_one_step_of_their_mean()
    {
        using Run run = new([]);
        run.Go(new TrainerOptions { Schedule = new Schedule(0.01), Steps = 4, Accumulation = 3 });
        Assert.Equal(Enumerable.Range(1, 12), run.Batches);
        Assert.Equal(4, new TrainerOptions { Schedule = new Schedule(0.01), Epochs = 2, Accumulation = 3 }.InSteps(epochs => 5 * epochs).Steps);
        Assert.Equal(2, new TrainerOptions { Schedule = new Schedule(0.01), Epochs = 2, Accumulation = 3 }.InSteps(epochs => 5 * epochs).EvaluateEvery);
    }

    [Theory]
    [InlineData(Decline.Linear, 0.75)]
    [InlineData(Decline.Cosine, 0.8535533905932737)]
    [InlineData(Decline.Constant, 1)]
    public void The_rate_falls_as_the_schedule_says(object decline, double quarter)
    {
        var schedule = new Schedule(2, 0.2, (Decline)decline);
        Assert.Equal(1, schedule.RateAt(0.1), 12);
        Assert.Equal(2, schedule.RateAt(0.2), 12);
        Assert.Equal(2 * quarter, schedule.RateAt(0.4), 12);
    }

    /// <summary>A toy model whose gradients depend on seed and step, and whose scores are given.</summary>
    private sealed class Run : IDisposable
    {
        private readonly TemporaryDirectory _directory = ToyData.Model();
        private readonly double[] _scores;

        public Run(double[] scores)
        {
            _scores = scores;
            Checkpoint.Save(_directory.Path, new TrainableModel(_directory.Path, 1), TrainingState.Start("toy"));
        }

        public List<int> Batches { get; } = [];

        /// <summary>The step after which model.safetensors was written last.</summary>
        public long SavedAt { get; private set; }

        public byte[] Parameters => File.ReadAllBytes(Path.Combine(_directory.Path, "model.safetensors"));

        public TrainingState Go(TrainerOptions options, int stop = int.MaxValue)
        {
            var model = new TrainableModel(_directory.Path, 1);
            using var cancellation = new CancellationTokenSource();
            byte[] before = Parameters;
            return new Trainer(model, new Task(this, model, options), options, _directory.Path, "toy").Run(() => { }, report =>
            {
                if (!Parameters.SequenceEqual(before)) (SavedAt, before) = (report.State.Step, Parameters);
                if (report.State.Step == stop) cancellation.Cancel();
            }, cancellation.Token);
        }

        public void Dispose() => _directory.Dispose();

        private sealed class Task(Run run, TrainableModel model, TrainerOptions options) : ITrainingTask
        {
            private int _step;

            public (double Loss, int Tokens) Learn(ulong seed, long step, double progress)
            {
                var random = new RandomStream(seed, (ulong)step << 32);
                foreach (Parameter parameter in model.Parameters) parameter.Gradient.Span[0] += (float)random.NextNormal();
                run.Batches.Add((int)step);
                _step = (int)((step - 1) / options.Accumulation) + 1;
                return (1, 1);
            }

            public Evaluation? Evaluate() => run._scores.Length == 0 ? null : new Evaluation(1, "accuracy", run._scores[_step / options.EvaluateEvery!.Value - 1]);
        }
    }
}
