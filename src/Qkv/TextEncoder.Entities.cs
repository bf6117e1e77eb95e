using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv;

/// <summary>A stretch of text that a token classifier labels.</summary>
/// <param name="Group">The label without its B- or I-.</param>
/// <param name="Score">The mean probability of its tokens.</param>
/// <param name="Word">The text itself.</param>
/// <param name="Start">Where it starts, in UTF-16 units of the text.</param>
/// <param name="End">Where it ends, exclusive.</param>
public readonly record struct Entity(string Group, float Score, string Word, int Start, int End);

public sealed partial class TextEncoder
{
    /// <summary>
    /// The entities of a text: neighbouring tokens with the same label are one (a B- starts the next), the label O is none. This is the
    /// <c>simple</c> aggregation of Hugging Face's token-classification pipeline, with the word taken from the text.
    /// </summary>
    /// <exception cref="ArgumentException">The text is null, or has no tokens.</exception>
    /// <exception cref="InvalidOperationException">The model was saved without a token classifier.</exception>
    public IReadOnlyList<Entity> Entities(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Entities([text])[0];
    }

    /// <summary>The same of many texts, to the same bits, in batches.</summary>
    /// <exception cref="ArgumentException">A text is null, or has no tokens.</exception>
    /// <exception cref="InvalidOperationException">The model was saved without a token classifier.</exception>
    public IReadOnlyList<IReadOnlyList<Entity>> Entities(IReadOnlyList<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        TaskHeads heads = _model.Heads;
        if (heads.Classifier == null || heads.ClassifierKind != ClassifierKind.Token) throw NoHead("label tokens", "BertForTokenClassification");
        int labels = heads.Classifier.Outputs;
        var results = new List<IReadOnlyList<Entity>>(texts.Count);
        var encodings = new List<Encoding>();
        var batch = new TokenBatch();
        for (int i = 0; i < texts.Count; i++)
        {
            encodings.Add(Encode(At(texts[i], i, nameof(texts))));
            batch.Add(encodings[^1].Ids.AsSpan());
            if (batch.Tokens < _model.Encoder.BatchTokens && i + 1 < texts.Count) continue;
            float[] scores = TaskHeads.ApplyToTokens(heads.Classifier, _model.Encoder, batch); // (T, labels)
            for (int sequence = 0; sequence < batch.Sequences; sequence++)
            {
                Span<float> rows = scores.AsSpan(batch.Starts[sequence] * labels, batch.Length(sequence) * labels);
                CheckFinite(rows, batch.IdsOf(sequence)); // before the softmax, which makes 0 of −∞
                Softmax.Forward(rows, labels, rows);
                results.Add(EntitiesOf(texts[results.Count], encodings[sequence], rows, labels));
            }
            encodings.Clear();
            batch.Clear();
        }
        return results;
    }

    private Entity[] EntitiesOf(string text, Encoding encoding, ReadOnlySpan<float> scores, int labels) // scores (L, labels)
    {
        var pieces = new List<(string Tag, float Score, TextRange Range)>();
        for (int token = 0; token < encoding.Length; token++)
        {
            if (encoding.SpecialTokensMask[token] != 0) continue;
            ReadOnlySpan<float> row = scores.Slice(token * labels, labels);
            int best = TaskHeads.IndexOfLargest(row);
            pieces.Add((LabelOf(best), row[best], encoding.Offsets[token]));
        }
        return [.. EntityRun.Join([.. pieces.Select(piece => piece.Tag)]).Select(EntityOf)];

        Entity EntityOf(EntityRun run)
        {
            int start = pieces[run.First].Range.Start, end = pieces[run.Last].Range.End;
            float sum = 0;
            for (int piece = run.First; piece <= run.Last; piece++) sum += pieces[piece].Score;
            return new Entity(run.Group, sum / (run.Last - run.First + 1), text[start..end], start, end);
        }
    }
}
