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
    /// <exception cref="InvalidOperationException">The model was saved without a token classifier.</exception>
    public IReadOnlyList<Entity> Entities(string text)
    {
        TaskHeads heads = _model.Heads;
        if (heads.Classifier == null || heads.ClassifierKind != ClassifierKind.Token) throw NoHead("label tokens", "BertForTokenClassification");
        Encoding encoding = Encode(text);
        var batch = new TokenBatch();
        batch.Add(encoding.Ids.AsSpan());
        float[] scores = TaskHeads.Apply(heads.Classifier, HiddenStates(batch)); // (L, labels)
        int labels = heads.Classifier.Outputs;
        Softmax.Forward(scores, labels, scores);

        var entities = new List<Entity>();
        (string Group, float Sum, int Count, int Start, int End)? open = null;
        for (int token = 0; token < encoding.Length; token++)
        {
            if (encoding.SpecialTokensMask[token] != 0) continue;
            ReadOnlySpan<float> row = scores.AsSpan(token * labels, labels);
            int best = IndexOfLargest(row);
            (bool begins, string group) = Tag(LabelOf(best));
            TextRange range = encoding.Offsets[token];
            if (open is { } last && last.Group == group && !begins)
            {
                open = (group, last.Sum + row[best], last.Count + 1, last.Start, range.End);
                continue;
            }
            Close();
            open = (group, row[best], 1, range.Start, range.End);
        }
        Close();
        return entities;

        void Close()
        {
            if (open is { Group: not "O" } last)
                entities.Add(new Entity(last.Group, last.Sum / last.Count, text[last.Start..last.End], last.Start, last.End));
        }
    }

    private static int IndexOfLargest(ReadOnlySpan<float> numbers)
    {
        int best = 0;
        for (int i = 1; i < numbers.Length; i++)
            if (numbers[i] > numbers[best]) best = i;
        return best;
    }

    private static (bool Begins, string Group) Tag(string label) => label switch
    {
        ['B', '-', .. string group] => (true, group),
        ['I', '-', .. string group] => (false, group),
        _ => (false, label),
    };
}
