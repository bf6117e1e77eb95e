using System.Buffers;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>Texts with one label each, as rows of a file and as a model reads them.</summary>
internal static class LabelledTexts
{
    /// <summary>The labels of some rows in alphabetical order: their place is their number.</summary>
    /// <exception cref="InvalidDataException">There is only one.</exception>
    public static string[] LabelsOf(string path, IReadOnlyList<LabelledRow> rows)
    {
        string[] labels = [.. rows.Select(row => row.Label).Distinct().Order(StringComparer.Ordinal)];
        return labels.Length > 1 ? labels : throw new InvalidDataException($"{path}: every row has the label '{labels[0]}'; a classifier needs at least two.");
    }

    /// <summary>Labels with one row only: nothing general can be learned of them.</summary>
    public static string[] Lonely(IReadOnlyList<LabelledRow> rows) => [.. rows.CountBy(row => row.Label).Where(label => label.Value == 1).Select(label => label.Key)];

    /// <exception cref="InvalidDataException">A label is not among those known; names file and line.</exception>
    public static List<Example> Encode(string path, IReadOnlyList<LabelledRow> rows, IReadOnlyList<string> labels, Tokenizer tokenizer, int length)
    {
        Dictionary<string, int> numbers = labels.Index().ToDictionary(label => label.Item, label => label.Index);
        var examples = new List<Example>(rows.Count);
        var ids = new ArrayBufferWriter<int>();
        foreach (LabelledRow row in rows)
        {
            if (!numbers.TryGetValue(row.Label, out int label)) throw LabelledFile.Bad(path, row.Line, Unknown("label", row.Label, labels));
            ids.ResetWrittenCount();
            tokenizer.Append(row.Text, ids, new EncodeOptions { MaxLength = length });
            examples.Add(new Example(ids.WrittenSpan.ToArray(), [label]));
        }
        return examples;
    }

    internal static string Unknown(string what, string name, IReadOnlyList<string> known)
    {
        const int shown = 8;
        string list = string.Join(", ", known.Take(shown)) + (known.Count > shown ? $" and {known.Count - shown} more" : "");
        return $"the {what} '{name}' is none of those that were learned ({list}); correct it or add examples to the training file";
    }
}
