using System.Buffers;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>Labelled rows of a file as a model reads them.</summary>
internal static class LabelledTexts
{
    /// <exception cref="InvalidDataException">A label is not among those known; names file and line.</exception>
    public static List<TextExample> Encode(string path, IReadOnlyList<LabelledRow> rows, LabelSet labels, Tokenizer tokenizer, int length)
    {
        var examples = new List<TextExample>(rows.Count);
        ArrayBufferWriter<int> ids = new(), typeIds = new();
        var options = tokenizer.Cut(length);
        foreach (LabelledRow row in rows)
        {
            float[] targets = labels.TargetsOf(path, row);
            ids.ResetWrittenCount();
            typeIds.ResetWrittenCount();
            if (row.Pair == null) tokenizer.Append(row.Text, ids, options);
            else tokenizer.Append(row.Text, row.Pair, ids, typeIds, options);
            examples.Add(new TextExample(ids.WrittenSpan.ToArray(), row.Pair == null ? null : typeIds.WrittenSpan.ToArray(), targets));
        }
        return examples;
    }
}
