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
    /// <exception cref="ArgumentException">The text is null, or has no tokens.</exception>
    /// <exception cref="InvalidOperationException">The model was saved without such a head.</exception>
    public IReadOnlyList<LabelScore> Classify(string text, string? pair = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Classify([(text, pair)])[0];
    }

    /// <summary>The same of many texts, to the same bits, in batches.</summary>
    /// <exception cref="ArgumentException">A text is null or has no tokens.</exception>
    /// <exception cref="InvalidOperationException">The model was saved without such a head.</exception>
    public IReadOnlyList<IReadOnlyList<LabelScore>> Classify(IReadOnlyList<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return Classify([.. texts.Select(text => (text, (string?)null))]);
    }

    /// <summary>The same of many texts and pairs, to the same bits, in batches.</summary>
    /// <exception cref="ArgumentException">A text is null or has no tokens.</exception>
    /// <exception cref="InvalidOperationException">The model was saved without such a head.</exception>
    public IReadOnlyList<IReadOnlyList<LabelScore>> Classify(IReadOnlyList<(string Text, string? Pair)> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        TaskHeads heads = _model.Heads;
        if (heads.Classifier == null || heads.ClassifierKind != ClassifierKind.Sequence || heads.Pooler == null)
            throw NoHead("classify texts", "BertForSequenceClassification");
        var results = new List<IReadOnlyList<LabelScore>>(texts.Count);
        var batch = new TokenBatch();
        for (int i = 0; i < texts.Count; i++)
        {
            Encoding encoding = Encode(At(texts[i].Text, i, nameof(texts)), texts[i].Pair);
            batch.Add(encoding.Ids.AsSpan(), encoding.TypeIds.AsSpan());
            if (batch.Tokens < _model.Encoder.BatchTokens && i + 1 < texts.Count) continue;
            float[] first = TaskHeads.FirstTokens(_model.Encoder, batch);
            for (int sequence = 0; sequence < batch.Sequences; sequence++) CheckFinite(first.AsSpan(sequence * Dimensions, Dimensions), batch.IdsOf(sequence));
            float[] scores = heads.Classify(first, _model.Encoder.Threads); // (B, labels)
            int labels = heads.Classifier.Outputs;
            if (Config.ProblemType == "multi_label_classification" || (labels == 1 && Config.ProblemType != "regression"))
                ActivationFunctions.Apply(Activation.Sigmoid, scores, scores);
            else if (Config.ProblemType != "regression")
                Softmax.Forward(scores, labels, scores);
            for (int sequence = 0; sequence < batch.Sequences; sequence++)
            {
                float[] row = scores[(sequence * labels)..((sequence + 1) * labels)];
                CheckFinite(row, batch.IdsOf(sequence));
                results.Add([.. row.Select((score, label) => new LabelScore(LabelOf(label), score)).OrderByDescending(label => label.Score)]);
            }
            batch.Clear();
        }
        return results;
    }

    private string LabelOf(int index) => Config.Labels is { } labels && index < labels.Count ? labels[index] : $"LABEL_{index}";
}
