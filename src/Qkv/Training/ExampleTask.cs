using Qkv.Text;

namespace Qkv.Training;

/// <summary>How labelled texts are learned.</summary>
/// <param name="BatchTokens">Tokens of a step.</param>
/// <param name="Smoothing">Label smoothing ε: the target is (1 − ε)·onehot + ε/N.</param>
internal sealed record ExampleOptions(int BatchTokens = 1024, float Smoothing = 0f);

/// <summary>Labelled texts as a task, of texts or of tokens: shuffled batches, a step that learns one, and a measure.</summary>
internal sealed class ExampleTask : ITrainingTask
{
    private readonly IReadOnlyList<Example> _train;
    private readonly Func<TokenBatch, int[], double> _learn;
    private readonly Func<Evaluation?> _evaluate;
    private readonly TokenBatch _batch = new();

    private ExampleTask(IReadOnlyList<Example> train, EpochBatches batches, Func<TokenBatch, int[], double> learn, Func<Evaluation?> evaluate) =>
        (_train, Batches, _learn, _evaluate) = (train, batches, learn, evaluate);

    public EpochBatches Batches { get; }

    /// <summary>Labels of texts, or a number, as BertForSequenceClassification.</summary>
    public static ExampleTask OfTexts(TrainableModel model, IReadOnlyList<TextExample> train, IReadOnlyList<TextExample> validation, LabelSet labels, ExampleOptions options)
    {
        EpochBatches batches = Cut(train, options);
        var step = new SequenceStep(model, batches.Capacity);
        return new ExampleTask(train, batches,
            (batch, rows) => step.Run(batch, labels.Kind, [.. rows.SelectMany(row => train[row].Targets)], options.Smoothing),
            () => validation.Count == 0 ? null : SequencePredictions.Of(model.Encoder, model.Heads, labels, validation).Evaluation);
    }

    /// <summary>One tag a token, as BertForTokenClassification; measured by entity F1.</summary>
    public static ExampleTask OfTokens(TrainableModel model, IReadOnlyList<TaggedExample> train, IReadOnlyList<TaggedExample> validation, ExampleOptions options)
    {
        EpochBatches batches = Cut(train, options);
        var step = new TokenStep(model, batches.Capacity);
        return new ExampleTask(train, batches,
            (batch, rows) => step.Run(batch, [.. rows.SelectMany(row => train[row].Targets)], options.Smoothing),
            () => validation.Count == 0 ? null : TokenPredictions.Of(model.Encoder, model.Heads, model.Config.Labels!, validation) is var found
                ? new Evaluation(found.Loss, "entity_f1", found.Score.F1)
                : null);
    }

    public (double Loss, int Tokens) Learn(ulong seed, long step, double progress)
    {
        _batch.Clear();
        int[] rows = Batches.Of(seed, step).ToArray();
        foreach (int row in rows) _batch.Add(_train[row].Ids, _train[row].TypeIds);
        return (_learn(_batch, rows), _batch.Tokens);
    }

    public Evaluation? Evaluate() => _evaluate();

    private static EpochBatches Cut(IReadOnlyList<Example> train, ExampleOptions options) => new([.. train.Select(example => example.Ids.Length)], options.BatchTokens);
}
