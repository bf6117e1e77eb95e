namespace Qkv.Text;

/// <summary>
/// Where the pipeline writes the tokens of one text: ids always; strings, word numbers and offsets only when asked. Reusable.
/// </summary>
internal sealed class TokenBuffer
{
    private int[] _ids = new int[64], _words = [], _starts = [], _ends = [];

    /// <summary>Keep more than ids.</summary>
    public bool Detailed { get; set; }

    /// <summary>Nothing is added behind the word that brings this many tokens.</summary>
    public int Limit { get; set; } = int.MaxValue;

    /// <summary>Tokens written.</summary>
    public int Count { get; private set; }

    /// <summary>Number of the word that is being written.</summary>
    public int Word { get; private set; }

    /// <summary>
    /// Whether <see cref="Limit"/> is reached. Only a spelled word ends a text, never an added token, as in tokenizers.
    /// </summary>
    public bool IsFull { get; private set; }

    /// <summary>(Count) ids.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, Count);

    /// <summary>(Count) number of each token's word; detailed only.</summary>
    public ReadOnlySpan<int> Words => _words.AsSpan(0, Count);

    /// <summary>(Count) first UTF-16 index of each token in the original; detailed only.</summary>
    public ReadOnlySpan<int> Starts => _starts.AsSpan(0, Count);

    /// <summary>(Count) UTF-16 index after each token in the original; detailed only.</summary>
    public ReadOnlySpan<int> Ends => _ends.AsSpan(0, Count);

    /// <summary>(Count) token strings; detailed only.</summary>
    public List<string> Tokens { get; } = [];

    /// <summary>(words) whether a word was spelled in pieces of the vocabulary; false for added tokens; detailed only.</summary>
    public List<bool> Spelled { get; } = [];

    /// <summary>Appends an id.</summary>
    public void Add(int id)
    {
        if (Count == _ids.Length)
        {
            Array.Resize(ref _ids, 2 * Count);
        }
        _ids[Count++] = id;
    }

    /// <summary>Adds what the token just appended is called and where it lies.</summary>
    public void Describe(string token, int start, int end)
    {
        if (_words.Length < _ids.Length)
        {
            Array.Resize(ref _words, _ids.Length);
            Array.Resize(ref _starts, _ids.Length);
            Array.Resize(ref _ends, _ids.Length);
        }
        _words[Count - 1] = Word;
        _starts[Count - 1] = start;
        _ends[Count - 1] = end;
        Tokens.Add(token);
    }

    /// <summary>Ends a word: a spelled one, or an added token.</summary>
    public void EndWord(bool spelled)
    {
        Word++;
        IsFull = IsFull || (spelled && Count >= Limit);
        if (Detailed)
        {
            Spelled.Add(spelled);
        }
    }

    /// <summary>Takes tokens back until <paramref name="count"/> are left.</summary>
    public void Rewind(int count)
    {
        Count = count;
        if (Detailed)
        {
            Tokens.RemoveRange(count, Tokens.Count - count);
        }
    }

    /// <summary>Forgets the tokens and gives memory back after an unusually long text.</summary>
    public void Clear(int limit)
    {
        if (_ids.Length > limit)
        {
            (_ids, _words, _starts, _ends) = (new int[64], [], [], []);
        }
        (Count, Word, Limit, IsFull) = (0, 0, int.MaxValue, false);
        Tokens.Clear();
        Spelled.Clear();
    }
}
