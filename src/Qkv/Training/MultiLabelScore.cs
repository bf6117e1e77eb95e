namespace Qkv.Training;

/// <summary>Labels found against labels that are right, where a text may have any number of them; as scikit-learn counts.</summary>
internal sealed class MultiLabelScore(int labels)
{
    private readonly int[] _right = new int[labels], _found = new int[labels], _expected = new int[labels];
    private int _exact;

    /// <summary>Texts counted.</summary>
    public int Count { get; private set; }

    /// <summary>The share of texts whose labels are all right and complete (subset accuracy).</summary>
    public double Accuracy => (double)_exact / Math.Max(Count, 1);

    /// <summary>2·right / (found + expected) over all labels together.</summary>
    public double MicroF1 => 2.0 * _right.Sum() / Math.Max(_found.Sum() + _expected.Sum(), 1);

    /// <summary>The mean F1 of the labels.</summary>
    public double MacroF1 => Enumerable.Range(0, labels).Average(F1);

    /// <summary>2·right / (found + expected) of one label; 0 where it neither occurs nor is found.</summary>
    public double F1(int label) => 2.0 * _right[label] / Math.Max(_found[label] + _expected[label], 1);

    /// <summary>How many texts have the label.</summary>
    public int Expected(int label) => _expected[label];

    /// <param name="targets">0 or 1 for every label.</param>
    /// <param name="logits">A label is found where σ(x) &gt; ½, which is x &gt; 0.</param>
    public void Add(ReadOnlySpan<float> targets, ReadOnlySpan<float> logits)
    {
        bool exact = true;
        for (int label = 0; label < labels; label++)
        {
            bool expected = targets[label] > 0.5f, found = logits[label] > 0;
            if (expected) _expected[label]++;
            if (found) _found[label]++;
            if (expected && found) _right[label]++;
            exact &= expected == found;
        }
        _exact += exact ? 1 : 0;
        Count++;
    }
}
