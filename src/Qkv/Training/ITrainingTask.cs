namespace Qkv.Training;

/// <summary>
/// What a model learns: batches with a loss, and a measure. What a step reads is a function of the seed and the step alone, so a run
/// that is resumed reads what it would have read.
/// </summary>
internal interface ITrainingTask
{
    /// <summary>Adds the gradients of one batch; returns its loss and how many tokens it read.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">The batch, counted from 1.</param>
    /// <param name="progress">0 … 1, how much of the run is done.</param>
    (double Loss, int Tokens) Learn(ulong seed, long step, double progress);

    /// <summary>Whether a parameter takes part; the others stay as they are.</summary>
    bool Learns(Qkv.Encoders.Parameter parameter) => true;

    /// <summary>Measures on what is not learned from; null where there is nothing to measure on.</summary>
    Evaluation? Evaluate();
}

/// <summary>What an evaluation on the way found.</summary>
/// <param name="Loss">The mean loss.</param>
/// <param name="Measure">What the score is, as JSON names it: <c>accuracy</c>.</param>
/// <param name="Score">0 … 1, higher is better.</param>
internal readonly record struct Evaluation(double Loss, string Measure, double Score);
