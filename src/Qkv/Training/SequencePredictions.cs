using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>What a sequence classifier says of labelled texts: the computation of <c>qkv classify</c>, text after text.</summary>
/// <param name="Labels">What the texts are labelled with.</param>
/// <param name="Examples">The texts.</param>
/// <param name="Loss">The mean loss.</param>
/// <param name="Logits">(texts, labels)</param>
internal sealed record SequencePredictions(LabelSet Labels, IReadOnlyList<TextExample> Examples, double Loss, float[] Logits)
{
    // Enough for full batches, few enough that memory does not grow with the length of the file's texts.
    private const int Together = 1024;

    /// <summary>The score by which a run keeps its best model.</summary>
    public Evaluation Evaluation => Labels.Kind switch
    {
        SequenceLossKind.MultiLabel => new Evaluation(Loss, "micro_f1", MultiLabel().MicroF1),
        SequenceLossKind.Regression => new Evaluation(Loss, "spearman", Spearman),
        _ => new Evaluation(Loss, "accuracy", Confusion().Accuracy),
    };

    /// <summary>Where numbers are predicted: how well their order is.</summary>
    public double Spearman => Correlation.Spearman(Expected, Found);

    /// <summary>Where numbers are predicted: how near a straight line they are to the right ones.</summary>
    public double Pearson => Correlation.Pearson(Expected, Found);

    private double[] Expected => [.. Examples.Select(example => (double)example.Targets[0])];

    private double[] Found => [.. Logits.Select(logit => (double)logit)];

    public static SequencePredictions Of(Encoder encoder, TaskHeads heads, LabelSet labels, IReadOnlyList<TextExample> examples)
    {
        var batch = new TokenBatch();
        var all = new List<float>(examples.Count * heads.Classifier!.Outputs);
        double loss = 0;
        foreach (TextExample[] some in examples.Chunk(Together))
        {
            batch.Clear();
            foreach (TextExample example in some) batch.Add(example.Ids, example.TypeIds);
            float[] logits = heads.Classify(TaskHeads.FirstTokens(encoder, batch), encoder.Threads);
            all.AddRange(logits); // before the gradient takes their place
            loss += some.Length * SequenceLoss.Forward(labels.Kind, logits, [.. some.SelectMany(example => example.Targets)], smoothing: 0, encoder.Threads);
        }
        return new SequencePredictions(labels, examples, loss / Math.Max(examples.Count, 1), [.. all]);
    }

    /// <summary>Where each text has one label: right against predicted ones.</summary>
    public Confusion Confusion()
    {
        var confusion = new Confusion(Labels.Names.Count);
        for (int i = 0; i < Examples.Count; i++) confusion.Add((int)Examples[i].Targets[0], TaskHeads.IndexOfLargest(LogitsOf(i)));
        return confusion;
    }

    /// <summary>Where each text has any number of labels: a label is predicted where its score is above one half.</summary>
    public MultiLabelScore MultiLabel()
    {
        var score = new MultiLabelScore(Labels.Names.Count);
        for (int i = 0; i < Examples.Count; i++) score.Add(Examples[i].Targets, LogitsOf(i));
        return score;
    }

    private ReadOnlySpan<float> LogitsOf(int text) => Logits.AsSpan(text * Labels.Names.Count, Labels.Names.Count);
}
