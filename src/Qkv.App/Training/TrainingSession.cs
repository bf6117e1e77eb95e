using System.Globalization;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>One sitting of a run: its directory gets its name, the trainer goes to the end, and what came of it is said.</summary>
internal static class TrainingSession
{
    /// <param name="invocation">Where messages go.</param>
    /// <param name="directory">Where the run is.</param>
    /// <param name="model">What learns.</param>
    /// <param name="task">What it learns.</param>
    /// <param name="options">How, in steps.</param>
    /// <param name="fingerprint">What must be the same for the run to go on.</param>
    /// <param name="begin">What is said first: how much there is to learn from.</param>
    public static void Run(Invocation invocation, RunDirectory directory, TrainableModel model, ITrainingTask task, TrainerOptions options, string fingerprint, string begin)
    {
        directory.Appear(model, fingerprint);
        using var log = new TrainingLog(invocation.Terminal, directory.Path);
        TrainingState state = new Trainer(model, task, options, directory.Path, fingerprint).Run(() => invocation.Note(begin), log.Report);
        log.DrawCurve();
        string best = double.IsNaN(state.Best) ? "" : string.Create(CultureInfo.InvariantCulture, $", at best {state.Best:p1} on --valid");
        if (state.Stale >= options.Patience) invocation.Note(string.Create(CultureInfo.InvariantCulture, $"the last {state.Stale:N0} evaluations were no better, so the run is over."));
        invocation.Note(string.Create(CultureInfo.InvariantCulture,
            $"{state.Step:N0} steps, {state.Tokens:N0} tokens in {TimeSpan.FromSeconds(state.Seconds):h\\:mm\\:ss}{best}; the model is in {directory.Path}."));
    }
}
