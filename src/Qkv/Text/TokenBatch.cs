namespace Qkv.Text;

/// <summary>
/// Sequences of tokens packed end to end: ids, segments and positions of T tokens, and where each of B sequences starts.
/// There is no padding, so no work is spent on it. A batch is filled by one thread, may be cleared and filled again without
/// allocating, and is only read by the encoder.
/// </summary>
public sealed unsafe class TokenBatch
{
    // Pinned arrays: the kernels read them by address.
    private int[] _ids = Pinned<int>(0);
    private int[] _typeIds = Pinned<int>(0);
    private int[] _positions = Pinned<int>(0);
    private byte[] _hiddenKeys = Pinned<byte>(0);
    private int[] _starts = Pinned<int>(1);
    private bool _hidesKeys;

    /// <summary>B, the number of sequences.</summary>
    public int Sequences { get; private set; }

    /// <summary>T, the number of tokens of all sequences.</summary>
    public int Tokens => _starts[Sequences];

    /// <summary>Token ids (T).</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, Tokens);

    /// <summary>Segment ids (T).</summary>
    public ReadOnlySpan<int> TypeIds => _typeIds.AsSpan(0, Tokens);

    /// <summary>Positions (T).</summary>
    public ReadOnlySpan<int> Positions => _positions.AsSpan(0, Tokens);

    /// <summary>First token of each sequence, and T at the end (B + 1).</summary>
    public ReadOnlySpan<int> Starts => _starts.AsSpan(0, Sequences + 1);

    /// <summary>Tokens of sequence <paramref name="sequence"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence.</exception>
    public int Length(int sequence) => (uint)sequence < (uint)Sequences
        ? _starts[sequence + 1] - _starts[sequence]
        : throw new ArgumentOutOfRangeException(nameof(sequence), $"There is no sequence {sequence}; the batch has {Sequences}, counted from 0.");

    /// <summary>Token ids of sequence <paramref name="sequence"/> (L).</summary>
    internal ReadOnlySpan<int> IdsOf(int sequence)
    {
        int length = Length(sequence);
        return Ids.Slice(_starts[sequence], length);
    }

    /// <summary>Whether token <paramref name="token"/> (of T) is hidden from all queries.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such token.</exception>
    public bool IsHidden(int token) => (uint)token < (uint)Tokens
        ? _hiddenKeys[token] != 0
        : throw new ArgumentOutOfRangeException(nameof(token), $"There is no token {token}; the batch has {Tokens}, counted from 0.");

    /// <summary>Appends a sequence.</summary>
    /// <param name="ids">Token ids (L).</param>
    /// <param name="typeIds">Segment ids (L); empty for all 0.</param>
    /// <param name="positions">Positions (L); empty for 0, 1, 2, ….</param>
    /// <param name="attentionMask">
    /// (L), 0 hides a token from all queries; empty for none hidden. Zeros at the end shorten the sequence; a hidden token before
    /// the last visible one keeps its row and its position, as in Hugging Face.
    /// </param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public void Add(ReadOnlySpan<int> ids, ReadOnlySpan<int> typeIds = default, ReadOnlySpan<int> positions = default, ReadOnlySpan<int> attentionMask = default)
    {
        CheckLength(nameof(typeIds), ids.Length, typeIds.Length);
        CheckLength(nameof(positions), ids.Length, positions.Length);
        CheckLength(nameof(attentionMask), ids.Length, attentionMask.Length);
        int length = ids.Length;
        if (!attentionMask.IsEmpty)
            while (length > 0 && attentionMask[length - 1] == 0) length--;
        int start = Tokens;
        Reserve(start + length, Sequences + 1);
        ids[..length].CopyTo(_ids.AsSpan(start));
        if (typeIds.IsEmpty) _typeIds.AsSpan(start, length).Clear();
        else typeIds[..length].CopyTo(_typeIds.AsSpan(start));
        for (int i = 0; i < length; i++)
        {
            _positions[start + i] = positions.IsEmpty ? i : positions[i];
            bool hidden = !attentionMask.IsEmpty && attentionMask[i] == 0;
            _hiddenKeys[start + i] = hidden ? (byte)1 : (byte)0;
            _hidesKeys |= hidden;
        }
        _starts[++Sequences] = start + length;
    }

    /// <summary>Forgets all sequences and keeps the memory.</summary>
    public void Clear()
    {
        Sequences = 0;
        _hidesKeys = false;
    }

    /// <summary>The same sequences in memory of their own.</summary>
    internal TokenBatch Copy()
    {
        var copy = new TokenBatch();
        copy.Reserve(Tokens, Sequences);
        Ids.CopyTo(copy._ids);
        TypeIds.CopyTo(copy._typeIds);
        Positions.CopyTo(copy._positions);
        _hiddenKeys.AsSpan(0, Tokens).CopyTo(copy._hiddenKeys);
        Starts.CopyTo(copy._starts);
        (copy.Sequences, copy._hidesKeys) = (Sequences, _hidesKeys);
        return copy;
    }

    /// <summary>Sequences first … first + count as the kernels read them.</summary>
    internal TokenSlice Slice(int first, int count)
    {
        int origin = _starts[first];
        return new TokenSlice
        {
            Ids = Address(_ids) + origin,
            TypeIds = Address(_typeIds) + origin,
            Positions = Address(_positions) + origin,
            HiddenKeys = _hidesKeys ? Address(_hiddenKeys) + origin : null,
            Starts = Address(_starts) + first,
            FirstSequence = first,
            Sequences = count,
            Tokens = _starts[first + count] - origin,
        };
    }

    private static void CheckLength(string name, int expected, int actual)
    {
        if (actual != 0 && actual != expected)
            throw new ArgumentException($"{nameof(TokenBatch)}.{nameof(Add)}: {name} must hold {expected} numbers like the ids, or none, but holds {actual}.", name);
    }

    private void Reserve(int tokens, int sequences)
    {
        if (_starts.Length <= sequences) Grow(ref _starts, sequences + 1);
        if (_ids.Length >= tokens) return;
        Grow(ref _ids, tokens);
        Grow(ref _typeIds, tokens);
        Grow(ref _positions, tokens);
        Grow(ref _hiddenKeys, tokens);
    }

    private static void Grow<T>(ref T[] array, int size) where T : unmanaged
    {
        T[] larger = Pinned<T>(Math.Max(size, Math.Max(64, 2 * array.Length)));
        array.CopyTo(larger, 0);
        array = larger;
    }

    private static T[] Pinned<T>(int length) where T : unmanaged => GC.AllocateArray<T>(length, pinned: true);

    private static T* Address<T>(T[] array) where T : unmanaged => (T*)System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(array, 0);
}

/// <summary>Some sequences of a <see cref="TokenBatch"/> as the kernels read them; valid while the batch is reachable and unchanged.</summary>
internal unsafe struct TokenSlice
{
    public int* Ids; // (T)
    public int* TypeIds; // (T)
    public int* Positions; // (T)
    public byte* HiddenKeys; // (T), or null where nothing is hidden
    public int* Starts; // (B + 1), counted from the start of the whole batch
    public int FirstSequence;
    public int Sequences;
    public int Tokens;

    /// <summary>The first token of this slice, counted from the start of the whole batch.</summary>
    public readonly nint Origin => Starts[0];

    /// <summary>The first row of a sequence, counted from the start of this slice.</summary>
    public readonly int Start(int sequence) => Starts[sequence] - Starts[0];

    public readonly int Length(int sequence) => Starts[sequence + 1] - Starts[sequence];
}
