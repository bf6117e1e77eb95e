using System.Text;

namespace Qkv.Training;

/// <summary>
/// A WordPiece vocabulary from counted words, as Hugging Face's WordPieceTrainer makes it: special tokens; single characters, most
/// frequent first; then, again and again, the pair of neighbouring pieces that occurs most often becomes a piece (Sennrich et al.
/// 2016, arXiv:1508.07909). Equal counts are decided by the pieces' numbers, so the same words give the same vocabulary.
/// </summary>
internal sealed class VocabularyTrainer
{
    /// <summary>What a piece that continues a word starts with.</summary>
    private const string Continuation = "##";

    /// <summary>BERT's special tokens, with the padding first.</summary>
    public static readonly string[] SpecialTokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    private readonly int _size;
    private readonly long _leastCount;
    private readonly List<string> _tokens = [.. SpecialTokens];
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

    // Words of two pieces and more: the pieces of word w are _pieces[_starts[w]…] up to _lengths[w].
    private readonly List<int> _pieces = [], _starts = [], _lengths = [];
    private readonly List<long> _times = [];
    private readonly Dictionary<(int Left, int Right), Pair> _pairs = [];
    private readonly PriorityQueue<(int Left, int Right), (long Count, int Left, int Right)> _queue = new(Comparer<(long Count, int Left, int Right)>.Create((a, b) =>
        a.Count != b.Count ? b.Count.CompareTo(a.Count) : a.Left != b.Left ? a.Left.CompareTo(b.Left) : a.Right.CompareTo(b.Right)));

    private VocabularyTrainer(int size, long leastCount) => (_size, _leastCount) = (size, leastCount);

    /// <param name="words">Words and how often each occurs.</param>
    /// <param name="size">Tokens at most.</param>
    /// <param name="leastCount">Characters and pairs that occur less often are left out.</param>
    /// <param name="coverage">The part of the text that single characters must spell (0 … 1): the rarest beyond it are left out.</param>
    public static IReadOnlyList<string> Train(IReadOnlyDictionary<string, long> words, int size, long leastCount, double coverage = 1)
    {
        var trainer = new VocabularyTrainer(size, leastCount);
        // The order of a dictionary is that of the text; sorted, texts with the same words give the same vocabulary.
        KeyValuePair<string, long>[] sorted = [.. words.OrderBy(word => word.Key, StringComparer.Ordinal)];
        trainer.AddCharacters(sorted, coverage);
        foreach ((string word, long times) in sorted) trainer.AddWord(word, times);
        trainer.Merge();
        return trainer._tokens;
    }

    /// <summary>A character that is ever part of a longer word gets both of its forms, so that it can stand anywhere in the next text.</summary>
    private void AddCharacters(KeyValuePair<string, long>[] words, double coverage)
    {
        var characters = new Dictionary<Rune, (long Times, bool Joined)>();
        foreach ((string word, long times) in words)
            foreach (Rune character in word.EnumerateRunes())
            {
                (long before, bool joined) = characters.GetValueOrDefault(character);
                characters[character] = (before + times, joined || word.Length > character.Utf16SequenceLength);
            }
        double rest = coverage * characters.Values.Sum(count => count.Times);
        foreach ((Rune character, (long times, bool joined)) in characters.OrderByDescending(entry => entry.Value.Times).ThenBy(entry => entry.Key.Value))
        {
            if (rest <= 0 || times < _leastCount || _tokens.Count + (joined ? 2 : 1) > _size) break;
            Add(character.ToString());
            if (joined) Add(Continuation + character);
            rest -= times;
        }
    }

    private int Add(string token)
    {
        if (_ids.TryGetValue(token, out int known)) return known;
        _tokens.Add(token);
        return _ids[token] = _tokens.Count - 1;
    }

    private void AddWord(string word, long times)
    {
        int start = _pieces.Count, index = _starts.Count;
        foreach (Rune character in word.EnumerateRunes())
        {
            if (!_ids.TryGetValue(_pieces.Count == start ? character.ToString() : Continuation + character, out int id))
            {
                // The word will be unknown, whatever its other characters do.
                _pieces.RemoveRange(start, _pieces.Count - start);
                return;
            }
            _pieces.Add(id);
        }
        int length = _pieces.Count - start;
        if (length < 2)
        {
            _pieces.RemoveRange(start, length);
            return;
        }
        _starts.Add(start);
        _lengths.Add(length);
        _times.Add(times);
        for (int i = start + 1; i < _pieces.Count; i++) Count((_pieces[i - 1], _pieces[i]), times, index);
    }

    private void Merge()
    {
        foreach (((int Left, int Right) key, Pair pair) in _pairs) Enqueue(key, pair);
        var changed = new HashSet<(int Left, int Right)>();
        while (_tokens.Count < _size && _queue.TryDequeue(out (int Left, int Right) best, out (long Count, int, int) queued))
        {
            // The count has changed since: what has fallen waits for its new turn, what has risen stands there already.
            Pair pair = _pairs[best];
            if (pair.Count != queued.Count)
            {
                if (pair.Count < queued.Count) Enqueue(best, pair);
                continue;
            }
            int merged = Add(_tokens[best.Left] + _tokens[best.Right][Continuation.Length..]);
            changed.Clear();
            foreach (int word in pair.Words) MergeIn(word, best, merged, changed);
            pair.Words = []; // none is left
            pair.Count = 0;
            foreach ((int Left, int Right) key in changed) Enqueue(key, _pairs[key]);
        }
    }

    /// <summary>Joins a pair wherever it stands in a word, from the left, and counts its neighbours anew.</summary>
    private void MergeIn(int word, (int Left, int Right) pair, int merged, HashSet<(int Left, int Right)> risen)
    {
        int start = _starts[word], length = _lengths[word];
        long times = _times[word];
        for (int i = start; i + 1 < start + length; i++)
        {
            if (_pieces[i] != pair.Left || _pieces[i + 1] != pair.Right) continue;
            if (i > start)
            {
                Count((_pieces[i - 1], pair.Left), -times, word);
                Rise((_pieces[i - 1], merged));
            }
            if (i + 2 < start + length)
            {
                Count((pair.Right, _pieces[i + 2]), -times, word);
                Rise((merged, _pieces[i + 2]));
            }
            _pieces[i] = merged;
            for (int j = i + 1; j + 1 < start + length; j++) _pieces[j] = _pieces[j + 1];
            length--;
        }
        _lengths[word] = length;

        void Rise((int Left, int Right) key)
        {
            Count(key, times, word);
            risen.Add(key);
        }
    }

    private void Count((int Left, int Right) key, long times, int word)
    {
        ref Pair? pair = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_pairs, key, out _);
        pair ??= new Pair();
        pair.Count += times;
        if (times > 0 && (pair.Words.Count == 0 || pair.Words[^1] != word)) pair.Words.Add(word);
    }

    private void Enqueue((int Left, int Right) key, Pair pair)
    {
        if (pair.Count >= _leastCount && pair.Count > 0) _queue.Enqueue(key, (pair.Count, key.Left, key.Right));
    }

    /// <summary>How often two pieces stand beside each other, and in which words; some of those may have lost the pair again.</summary>
    private sealed class Pair
    {
        public long Count;
        public List<int> Words = [];
    }
}
