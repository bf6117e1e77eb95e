namespace Qkv.Training;

/// <summary>How often each label was taken for each: rows are what is right, columns what was predicted.</summary>
internal sealed class Confusion(int labels)
{
    private readonly int[,] _counts = new int[labels, labels];

    public int Labels => labels;

    public int this[int expected, int predicted] => _counts[expected, predicted];

    /// <summary>Texts counted.</summary>
    public int Count { get; private set; }

    /// <summary>The share that is right.</summary>
    public double Accuracy => Count == 0 ? 0 : (double)Enumerable.Range(0, labels).Sum(label => _counts[label, label]) / Count;

    /// <summary>The mean F1 of the labels that occur, be it only as a prediction; that is scikit-learn's macro average.</summary>
    public double MacroF1 => Enumerable.Range(0, labels).Where(label => Expected(label) + Predicted(label) > 0).Select(F1).DefaultIfEmpty().Average();

    public void Add(int expected, int predicted)
    {
        _counts[expected, predicted]++;
        Count++;
    }

    /// <summary>2·right / (expected + predicted), the harmonic mean of precision and recall.</summary>
    public double F1(int label) => 2.0 * _counts[label, label] / Math.Max(Expected(label) + Predicted(label), 1);

    private int Expected(int label) => Enumerable.Range(0, labels).Sum(other => _counts[label, other]);

    private int Predicted(int label) => Enumerable.Range(0, labels).Sum(other => _counts[other, label]);
}
