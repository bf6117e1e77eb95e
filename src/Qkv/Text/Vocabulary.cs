using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Qkv.Text;

/// <summary>Tokens and their ids, below <see cref="Count"/>. Immutable; safe to use from many threads.</summary>
public sealed class Vocabulary
{
    // A vocabulary with a line twice leaves an id without a token; one that leaves more than these is damaged, and would only take memory.
    private const int MostGaps = 1 << 16;

    private readonly string?[] _tokens;
    private readonly Dictionary<string, int> _ids;

    /// <summary>Entries must hold every id once at most; <paramref name="source"/> names the file in errors.</summary>
    internal Vocabulary(IReadOnlyCollection<KeyValuePair<string, long>> entries, string source)
    {
        long last = -1;
        foreach ((string token, long id) in entries)
        {
            if (id < 0 || id >= (long)entries.Count + MostGaps)
            {
                throw new InvalidDataException($"{source}: token {Quote(token)} has id {id}, "
                    + $"but with {entries.Count:N0} tokens ids from 0 to {(long)entries.Count + MostGaps - 1:N0} are expected.");
            }
            last = Math.Max(last, id);
        }
        _tokens = new string?[last + 1];
        _ids = new Dictionary<string, int>(entries.Count, StringComparer.Ordinal);
        foreach ((string token, long id) in entries)
        {
            if (_tokens[id] is { } other)
            {
                throw new InvalidDataException($"{source}: id {id} is given to {Quote(other)} and to {Quote(token)}.");
            }
            if (!_ids.TryAdd(token, (int)id))
            {
                throw new InvalidDataException($"{source}: token {Quote(token)} is there twice, with ids {_ids[token]} and {id}.");
            }
            _tokens[id] = token;
        }
    }

    /// <summary>Lines in the order of their ids; of equal lines the last gives the id, and the others' have no token.</summary>
    internal Vocabulary(string[] lines)
    {
        _tokens = [.. lines];
        _ids = new Dictionary<string, int>(lines.Length, StringComparer.Ordinal);
        for (int id = 0; id < lines.Length; id++)
        {
            if (_ids.TryGetValue(lines[id], out int earlier)) _tokens[earlier] = null;
            _ids[lines[id]] = id;
        }
    }

    /// <summary>The number of ids: one more than the largest. A few may have no token, as where a vocabulary's line was there twice.</summary>
    public int Count => _tokens.Length;

    /// <summary>All tokens with the ids they encode to.</summary>
    internal IReadOnlyDictionary<string, int> Entries => _ids;

    /// <summary>
    /// Reads <c>vocab.txt</c>: UTF-8, a token a line, the line's number (from 0) is its id. A token on two lines has the later
    /// id, as in Hugging Face's tokenizers.
    /// </summary>
    /// <exception cref="InvalidDataException">The file is not UTF-8, or empty.</exception>
    public static Vocabulary Load(string path) => new(ReadLines(path));

    /// <summary>The id of a token.</summary>
    /// <exception cref="ArgumentException">The vocabulary has no such token.</exception>
    public int IdOf(string token) => TryGet(token, out int id)
        ? id
        : throw new ArgumentException($"Vocabulary: expected one of its tokens, got {Quote(token)}.", nameof(token));

    /// <summary>The id of a token, if it is there.</summary>
    public bool TryGet(string token, out int id) => _ids.TryGetValue(token, out id);

    /// <summary>The token with this id.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is none.</exception>
    public string TokenOf(int id) => TryGet(id, out string? token)
        ? token
        : throw new ArgumentOutOfRangeException(nameof(id), $"Vocabulary: expected an id from 0 to {Count - 1} that has a token, got {id}.");

    /// <summary>The token with this id, if there is one.</summary>
    public bool TryGet(int id, [NotNullWhen(true)] out string? token)
    {
        token = (uint)id < (uint)_tokens.Length ? _tokens[id] : null;
        return token is not null;
    }

    /// <summary>A token as an error shows it: short and on one line.</summary>
    internal static string Quote(string token)
    {
        var shown = new StringBuilder("\"");
        foreach (char c in token.AsSpan(0, Math.Min(token.Length, 40)))
        {
            _ = c < ' ' || char.IsSurrogate(c) || char.IsControl(c) ? shown.Append($"\\u{(int)c:x4}") : shown.Append(c);
        }
        return shown.Append(token.Length > 40 ? "…\"" : "\"").ToString();
    }

    /// <summary>The lines of a vocabulary file, split as Python's text mode splits (\n, \r\n, \r).</summary>
    internal static string[] ReadLines(string path)
    {
        string text = TextFile.Read(path);
        string[] lines = text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n').Split('\n');
        if (lines[^1].Length == 0)
        {
            lines = lines[..^1];
        }
        return lines.Length > 0 ? lines : throw new InvalidDataException($"{path}: it has no line; expected one token a line.");
    }
}
