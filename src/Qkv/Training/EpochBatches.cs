namespace Qkv.Training;

/// <summary>
/// Which examples each step reads: every epoch all of them, in an order that seed and epoch shuffle, packed one after the other up to
/// a budget of tokens. A function of seed and step; only the current epoch is kept.
/// </summary>
/// <param name="lengths">Tokens of each example.</param>
/// <param name="budget">Tokens of a step; a longer example passes alone.</param>
/// <param name="most">Examples of a step.</param>
internal sealed class EpochBatches(int[] lengths, int budget, int most = int.MaxValue)
{
    private readonly int[] _order = new int[lengths.Length];
    private readonly List<int> _starts = [];
    private ulong _seed;
    private long _epoch = -1;
    private long _first; // steps before the current epoch

    /// <summary>The most tokens that a step can have.</summary>
    public int Capacity { get; } = Math.Max(budget, lengths.DefaultIfEmpty().Max());

    /// <summary>The examples of a step, counted from 1.</summary>
    public ReadOnlySpan<int> Of(ulong seed, long step)
    {
        if (_epoch < 0 || seed != _seed || step - 1 < _first) Shuffle(seed, 0, 0);
        while (step - 1 - _first >= _starts.Count - 1) Shuffle(seed, _epoch + 1, _first + _starts.Count - 1);
        int batch = (int)(step - 1 - _first);
        return _order.AsSpan(_starts[batch].._starts[batch + 1]);
    }

    /// <summary>Steps of so many epochs.</summary>
    public long Steps(ulong seed, int epochs)
    {
        Shuffle(seed, 0, 0);
        while (_epoch + 1 < epochs) Shuffle(seed, _epoch + 1, _first + _starts.Count - 1);
        return _first + _starts.Count - 1;
    }

    private void Shuffle(ulong seed, long epoch, long first)
    {
        (_seed, _epoch, _first) = (seed, epoch, first);
        var random = new RandomStream(seed, (ulong)(epoch + 1) << 32);
        for (int i = 0; i < _order.Length; i++) _order[i] = i;
        for (int i = _order.Length - 1; i > 0; i--)
        {
            int j = random.Next(i + 1);
            (_order[i], _order[j]) = (_order[j], _order[i]);
        }
        _starts.Clear();
        _starts.Add(0);
        for (int i = 0, tokens = 0; i < _order.Length; i++)
        {
            int length = lengths[_order[i]];
            if (i > _starts[^1] && (tokens + length > budget || i - _starts[^1] == most))
            {
                _starts.Add(i);
                tokens = 0;
            }
            tokens += length;
        }
        _starts.Add(_order.Length);
    }
}
