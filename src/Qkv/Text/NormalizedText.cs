namespace Qkv.Text;

/// <summary>
/// A reusable buffer of normalized UTF-16 text; with alignment, each of its characters knows where the code point it stands
/// for starts in the original.
/// </summary>
internal sealed class NormalizedText
{
    private char[] _characters = new char[256];
    private int[] _sources = [];

    /// <summary>Characters written.</summary>
    public int Length { get; private set; }

    /// <summary>Whether <see cref="Sources"/> is kept.</summary>
    public bool Aligned { get; set; }

    /// <summary>What was written.</summary>
    public ReadOnlySpan<char> Characters => _characters.AsSpan(0, Length);

    /// <summary>(Length) UTF-16 index in the original of every character; empty when not aligned.</summary>
    public ReadOnlySpan<int> Sources => Aligned ? _sources.AsSpan(0, Length) : [];

    /// <summary>Forgets the text, keeps the memory.</summary>
    public void Clear() => Length = 0;

    /// <summary>Room for at least <paramref name="count"/> more characters, and the index of the first.</summary>
    public int Reserve(int count, out char[] characters, out int[] sources)
    {
        int needed = Length + count;
        if (needed > _characters.Length)
        {
            Array.Resize(ref _characters, Math.Max(needed, (int)Math.Min(2L * _characters.Length, Array.MaxLength)));
        }
        if (Aligned && _sources.Length < _characters.Length)
        {
            Array.Resize(ref _sources, _characters.Length);
        }
        (characters, sources) = (_characters, _sources);
        return Length;
    }

    /// <summary>Counts what the caller wrote into the reserved room.</summary>
    public void Advance(int length) => Length = length;

    /// <summary>Gives memory back after an unusually long text.</summary>
    public void Trim(int limit)
    {
        if (_characters.Length > limit)
        {
            (_characters, _sources) = (new char[256], []);
            Length = 0;
        }
    }
}
