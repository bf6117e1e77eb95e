using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv;

/// <summary>A label of a classifier with its score.</summary>
/// <param name="Label">The name in <c>config.json</c>, or LABEL_i where it gives none.</param>
/// <param name="Score">A probability; the predicted number itself for regression.</param>
public readonly record struct LabelScore(string Label, float Score);

public sealed partial class TextEncoder
{
    /// <summary>
    /// The labels of a text or a pair of texts, highest score first: softmax over the labels, a sigmoid each for multi-label models and
    /// for a single label, the plain number for regression (as Hugging Face's text-classification pipeline).
    /// </summary>
    /// <exception cref="InvalidOperationException">The model was saved without such a head.</exception>
    public IReadOnlyList<LabelScore> Classify(string text, string? pair = null)
    {
        TaskHeads heads = _model.Heads;
        if (heads.Classifier == null || heads.ClassifierKind != ClassifierKind.Sequence || heads.Pooler == null)
            throw NoHead("classify texts", "BertForSequenceClassification");
        Encoding encoding = Encode(text, pair);
        var batch = new TokenBatch();
        batch.Add(encoding.Ids.AsSpan(), encoding.TypeIds.AsSpan());
        float[] scores = TaskHeads.Apply(heads.Classifier, heads.Pool(HiddenStates(batch).AsSpan(0, Dimensions)));
        if (Config.ProblemType == "multi_label_classification" || (scores.Length == 1 && Config.ProblemType != "regression"))
            ActivationFunctions.Apply(Activation.Sigmoid, scores, scores);
        else if (Config.ProblemType != "regression")
            Softmax.Forward(scores, scores.Length, scores);
        CheckFinite(scores, batch.Ids);
        return [.. scores.Select((score, i) => new LabelScore(LabelOf(i), score)).OrderByDescending(label => label.Score)];
    }

    private string LabelOf(int index) => Config.Labels is { } labels && index < labels.Count ? labels[index] : $"LABEL_{index}";
}
