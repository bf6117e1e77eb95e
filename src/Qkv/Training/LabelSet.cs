using System.Globalization;
using Qkv.Parameters;

namespace Qkv.Training;

/// <summary>What the texts of a classifier are labelled with, and how a row's label becomes numbers.</summary>
/// <param name="Kind">One label a text, any number of them, or a number.</param>
/// <param name="Names">The labels; their place is their number.</param>
/// <param name="Separator">What stands between the labels of a row, where there may be several.</param>
internal sealed record LabelSet(SequenceLossKind Kind, IReadOnlyList<string> Names, string? Separator)
{
    private readonly Dictionary<string, int> _numbers = Names.Index().ToDictionary(label => label.Item, label => label.Index);

    /// <summary>The kind as Hugging Face names it.</summary>
    public string ProblemType => Kind switch
    {
        SequenceLossKind.MultiLabel => "multi_label_classification",
        SequenceLossKind.Regression => "regression",
        _ => "single_label_classification",
    };

    /// <summary>The labels of some rows in alphabetical order.</summary>
    /// <exception cref="InvalidDataException">There are too few to tell apart.</exception>
    public static LabelSet Of(string path, IReadOnlyList<LabelledRow> rows, SequenceLossKind kind, string? separator)
    {
        if (kind == SequenceLossKind.Regression) return new LabelSet(kind, ["LABEL_0"], null); // as Hugging Face names the one output
        string[] labels = [.. rows.SelectMany(row => Split(row, separator)).Distinct().Order(StringComparer.Ordinal)];
        if (labels.Length == 0) throw new InvalidDataException($"{path}: no row has a label; there is nothing to learn.");
        return labels.Length > 1 || kind == SequenceLossKind.MultiLabel
            ? new LabelSet(kind, labels, separator)
            : throw new InvalidDataException($"{path}: every row has the label '{labels[0]}'; a classifier needs at least two.");
    }

    /// <summary>The labels of a trained model.</summary>
    /// <param name="config">Its configuration.</param>
    /// <param name="outputs">Outputs of its classifier.</param>
    /// <param name="separator">What stands between several labels of a row.</param>
    public static LabelSet Of(EncoderConfig config, int outputs, string separator)
    {
        // Hugging Face, too, takes a single output for a number where nothing is said.
        SequenceLossKind kind = (config.ProblemType ?? (outputs == 1 ? "regression" : null)) switch
        {
            "multi_label_classification" => SequenceLossKind.MultiLabel,
            "regression" => SequenceLossKind.Regression,
            _ => SequenceLossKind.SingleLabel,
        };
        return new LabelSet(kind, config.Labels ?? [.. Enumerable.Range(0, outputs).Select(i => $"LABEL_{i}")], kind == SequenceLossKind.MultiLabel ? separator : null);
    }

    /// <summary>Labels with one row only: nothing general can be learned of them.</summary>
    public string[] Lonely(IReadOnlyList<LabelledRow> rows) =>
        Kind == SequenceLossKind.Regression ? [] : [.. rows.SelectMany(row => Split(row, Separator)).CountBy(label => label).Where(label => label.Value == 1).Select(label => label.Key)];

    /// <summary>A row's label as <see cref="SequenceLoss"/> wants it.</summary>
    /// <exception cref="InvalidDataException">A label is not among the names, or is no number; names file and line.</exception>
    public float[] TargetsOf(string path, LabelledRow row)
    {
        if (Kind == SequenceLossKind.Regression)
        {
            return float.TryParse(row.Label, NumberStyles.Float, CultureInfo.InvariantCulture, out float number) && float.IsFinite(number)
                ? [number]
                : throw TextLines.Bad(path, row.Line, $"the label '{row.Label}' is no number, which regression learns");
        }
        int[] numbers = [.. Split(row, Separator).Select(label => _numbers.TryGetValue(label, out int known) ? known : throw TextLines.Bad(path, row.Line, Unknown("label", label, Names)))];
        if (Kind == SequenceLossKind.SingleLabel) return [numbers[0]];
        var targets = new float[Names.Count];
        foreach (int number in numbers) targets[number] = 1;
        return targets;
    }

    /// <summary>What is said of a name in a file that was not in the file to learn from.</summary>
    public static string Unknown(string what, string name, IReadOnlyList<string> known)
    {
        const int shown = 8;
        string list = string.Join(", ", known.Take(shown)) + (known.Count > shown ? $" and {known.Count - shown} more" : "");
        return $"the {what} '{name}' is none of those that were learned ({list}); correct it or add examples to the training file";
    }

    private static string[] Split(LabelledRow row, string? separator) =>
        separator == null ? [row.Label] : row.Label.Split(separator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
