using System.Buffers;
using System.Runtime.CompilerServices;

namespace Qkv.Text;

/// <summary>What <see cref="Tokenizer.Append(ReadOnlySpan{char}, IBufferWriter{int}, EncodeOptions)"/> wrote and left out.</summary>
/// <param name="Tokens">Tokens appended, special ones included.</param>
/// <param name="Dropped">Tokens of the texts that did not fit.</param>
public readonly record struct Appended(int Tokens, int Dropped)
{
    /// <summary>Whether the texts were cut.</summary>
    public bool Truncated => Dropped > 0;
}

/// <summary>
/// The WordPiece tokenizer of BERT-family models: text to ids and back, equal to Hugging Face's Rust tokenizers. Immutable; safe
/// to use from many threads. Text is any .NET string; lone surrogates are read as U+FFFD, which cleaning drops.
/// </summary>
public sealed class Tokenizer
{
    private readonly TokenizerParts _parts;
    private readonly TextPipeline _pipeline;
    private readonly HashSet<int> _special = [];
    private readonly Dictionary<int, string> _decoded = [];   // added tokens that are found normalized are also written so

    internal Tokenizer(TokenizerParts parts)
    {
        _parts = parts;
        _pipeline = new TextPipeline(parts);
        foreach (AddedToken token in parts.Added)
        {
            if (token.Normalized) _decoded.TryAdd(token.Id, Normalize(token.Content));
            if (token.Special) _special.Add(token.Id);
        }
    }

    /// <summary>Tokens and ids, added tokens included.</summary>
    public Vocabulary Vocabulary => _parts.Vocabulary;

    /// <summary>The most tokens the model takes, as <c>tokenizer_config.json</c> says; null where it says nothing or no limit.</summary>
    public int? ModelMaxLength => _parts.Defaults.MaxLength;

    /// <summary>Where a text that is too long for the model is cut: <c>truncation_side</c> of <c>tokenizer_config.json</c>, else what <c>tokenizer.json</c> has stored.</summary>
    public Side TruncationSide => _parts.Defaults.TruncationSide ?? Side.Right;

    /// <summary>Where padding goes: <c>padding_side</c> of <c>tokenizer_config.json</c>, else what <c>tokenizer.json</c> has stored. The encoder itself takes no padding.</summary>
    public Side PadSide => _parts.Defaults.PadSide ?? Side.Right;

    /// <summary>Cuts a text to so many tokens where the model's files say.</summary>
    internal EncodeOptions Cut(int length) => new() { MaxLength = length, TruncationSide = TruncationSide };

    /// <summary>The switches of the normalizer.</summary>
    public NormalizerOptions Normalizer => _parts.Normalizer;

    /// <summary>Truncation and padding as stored in <c>tokenizer.json</c>; applied only when passed to an Encode method.</summary>
    public EncodeOptions StoredOptions => _parts.StoredOptions;

    /// <summary>Id of the token that stands for a word the vocabulary cannot spell.</summary>
    public int UnknownId => Vocabulary.IdOf(_parts.UnknownToken);

    /// <summary>Id that padding is made of.</summary>
    public int PadId => _parts.Pad.Id;

    /// <summary>What the files name as the masked-token symbol, whether or not the vocabulary has it.</summary>
    internal string MaskToken => _parts.MaskToken;

    /// <summary>Id of the masked-token symbol, such as [MASK]; null where the vocabulary has none.</summary>
    public int? MaskId => Vocabulary.TryGet(_parts.MaskToken, out int id) ? id : null;

    /// <summary>Special tokens that are put around one text.</summary>
    internal int TemplateTokens => _parts.Template.Added(isPair: false, addSpecialTokens: true);

    /// <summary>Tokens that stand for no text, such as [CLS], by id.</summary>
    internal IEnumerable<string> SpecialTokens => _special.Order().Select(Vocabulary.TokenOf);

    /// <summary>Whether a directory has a tokenizer to <see cref="Load"/>.</summary>
    public static bool Exists(string directory) =>
        File.Exists(Path.Combine(directory, TokenizerJson.FileName)) || File.Exists(Path.Combine(directory, VocabularyDirectory.FileName));

    /// <summary>
    /// Reads a Hugging Face directory: <c>tokenizer.json</c> where there is one, else <c>vocab.txt</c> with
    /// <c>tokenizer_config.json</c>, <c>special_tokens_map.json</c> and <c>added_tokens.json</c>, as far as they are there.
    /// </summary>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    /// <exception cref="FileNotFoundException">Neither file is there.</exception>
    /// <exception cref="InvalidDataException">A file is broken or of a kind that is not supported; says which, what and where.</exception>
    public static Tokenizer Load(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        TextFile.CheckDirectory(directory);
        string json = Path.Combine(directory, TokenizerJson.FileName);
        string vocabulary = Path.Combine(directory, VocabularyDirectory.FileName);
        if (File.Exists(json))
        {
            return new Tokenizer(TokenizerJson.Read(json, VocabularyDirectory.ReadDefaults(directory)));
        }
        return File.Exists(vocabulary)
            ? new Tokenizer(VocabularyDirectory.Read(directory))
            : throw new FileNotFoundException(
                $"{directory}: expected {TokenizerJson.FileName} or {VocabularyDirectory.FileName}, found neither.", json);
    }

    /// <summary>Has <see cref="Append(ReadOnlySpan{char}, IBufferWriter{int}, EncodeOptions)"/> compiled and the tables of characters read: for another thread to do while parameters are read.</summary>
    internal void Compile()
    {
        if (RuntimeFeature.IsDynamicCodeCompiled) Append("a", new ArrayBufferWriter<int>());
    }

    /// <summary>A text, or a pair of texts, as tokens with everything known about them.</summary>
    /// <param name="text">The text.</param>
    /// <param name="pair">The second text of a pair.</param>
    /// <param name="options">How; by default nothing is cut or padded.</param>
    /// <exception cref="ArgumentException">The options cannot be met, for instance a length below the special tokens' number.</exception>
    public Encoding Encode(string text, string? pair = null, EncodeOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        EncodingLayout layout = Lay(text, pair, options);
        return layout.Build(PaddedLength(layout.Length, options));
    }

    /// <summary>Texts as tokens; with <see cref="Padding.Longest"/> all are padded to the longest of them.</summary>
    /// <exception cref="ArgumentException">The options cannot be met.</exception>
    public IReadOnlyList<Encoding> EncodeBatch(IReadOnlyList<string> texts, EncodeOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return EncodeBatch([.. texts.Select(text => (text, (string?)null))], options);
    }

    /// <summary>Texts and pairs as tokens; with <see cref="Padding.Longest"/> all are padded to the longest of them.</summary>
    /// <exception cref="ArgumentException">The options cannot be met.</exception>
    public IReadOnlyList<Encoding> EncodeBatch(IReadOnlyList<(string Text, string? Pair)> texts, EncodeOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        EncodingLayout[] layouts = [.. texts.Select((row, i) => Lay(row.Text ?? throw new ArgumentException($"Text {i} of the list is null.", nameof(texts)), row.Pair, options))];
        int length = PaddedLength(layouts.Length == 0 ? 0 : layouts.Max(layout => layout.Length), options);
        return [.. layouts.Select(layout => layout.Build(length))];
    }

    /// <summary>
    /// The hot path: appends the ids of one text, special tokens included, and allocates nothing once its scratch has grown.
    /// Of the options, padding and stride do not matter here.
    /// </summary>
    /// <exception cref="ArgumentException">The options cannot be met.</exception>
    public Appended Append(ReadOnlySpan<char> text, IBufferWriter<int> ids, EncodeOptions options = default) =>
        Append(text, default, isPair: false, ids, null, options);

    /// <summary>The same for a pair of texts, with the segment of each token.</summary>
    /// <exception cref="ArgumentException">The options cannot be met.</exception>
    public Appended Append(
        ReadOnlySpan<char> text, ReadOnlySpan<char> pair, IBufferWriter<int> ids, IBufferWriter<int> typeIds,
        EncodeOptions options = default) =>
        Append(text, pair, isPair: true, ids, typeIds, options);

    /// <summary>What the normalizer alone makes of a text; added tokens are not spared.</summary>
    public string Normalize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return _pipeline.Normalize(text);
    }

    /// <summary>Ids as text. Ids that the vocabulary does not have are left out, as a model may have more rows than tokens.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        var tokens = new List<string>(ids.Length);
        foreach (int id in ids)
        {
            if (Vocabulary.TryGet(id, out string? token) && !(skipSpecialTokens && _special.Contains(id)))
            {
                tokens.Add(_decoded.GetValueOrDefault(id, token));
            }
        }
        return _parts.Decoder.Decode(tokens);
    }

    private Appended Append(
        ReadOnlySpan<char> text, ReadOnlySpan<char> pair, bool isPair, IBufferWriter<int> ids, IBufferWriter<int>? typeIds,
        in EncodeOptions options)
    {
        int room = Room(isPair, options);
        TokenScratch scratch = TokenScratch.Take(detailed: false);
        _pipeline.Tokenize(text, scratch.First, scratch.Text);
        if (isPair)
        {
            _pipeline.Tokenize(pair, scratch.Second, scratch.Text);
        }
        (int first, int second) = Truncation.Keep(scratch.First.Count, isPair ? scratch.Second.Count : -1, room, options.Truncation);
        int appended = 0;
        foreach (TemplatePiece piece in _parts.Template.All(isPair))
        {
            ReadOnlySpan<int> tokens = piece.Sequence switch
            {
                0 => Cut(scratch.First.Ids, first, options.TruncationSide),
                1 => Cut(scratch.Second.Ids, second, options.TruncationSide),
                _ => options.AddSpecialTokens ? piece.Ids.AsSpan() : [],
            };
            ids.Write(tokens);
            if (typeIds is not null && tokens.Length > 0)
            {
                typeIds.GetSpan(tokens.Length)[..tokens.Length].Fill(piece.TypeId);
                typeIds.Advance(tokens.Length);
            }
            appended += tokens.Length;
        }
        int dropped = scratch.First.Count - first + (isPair ? scratch.Second.Count - second : 0);
        scratch.GiveBack();
        return new Appended(appended, dropped);
    }

    private static ReadOnlySpan<int> Cut(ReadOnlySpan<int> ids, int keep, Side side) => side == Side.Right ? ids[..keep] : ids[^keep..];

    private EncodingLayout Lay(string text, string? pair, in EncodeOptions options)
    {
        int room = Room(pair is not null, options);
        TokenScratch scratch = TokenScratch.Take(detailed: true);
        int limit = options.WholeText ? int.MaxValue : options.MaxLength ?? int.MaxValue;
        int firstLimit = options.Truncation == TruncationStrategy.OnlySecond ? int.MaxValue : limit;
        SequenceTokens first = Sequence(text, scratch.First, scratch.Text, firstLimit, options.TruncationSide);
        SequenceTokens? second = pair is null ? null : Sequence(pair, scratch.Second, scratch.Text, limit, options.TruncationSide);
        scratch.GiveBack();
        (int keepFirst, int keepSecond) = Truncation.Keep(first.Length, second?.Length ?? -1, room, options.Truncation);
        return new EncodingLayout(_parts, first, keepFirst, second, keepSecond, options);
    }

    private SequenceTokens Sequence(string text, TokenBuffer tokens, NormalizedText normalized, int limit, Side cut)
    {
        tokens.Limit = cut == Side.Right ? limit : int.MaxValue;
        _pipeline.Tokenize(text, tokens, normalized);
        return new SequenceTokens(text, tokens, cut == Side.Left ? limit : int.MaxValue);
    }

    /// <summary>Tokens of the texts that fit beside the template's; int.MaxValue without a limit.</summary>
    private int Room(bool isPair, in EncodeOptions options)
    {
        options.Validate();
        if (options.MaxLength is not { } most)
        {
            return int.MaxValue;
        }
        int added = _parts.Template.Added(isPair, options.AddSpecialTokens);
        int single = _parts.Template.Added(isPair: false, options.AddSpecialTokens);
        if (most < added)
        {
            throw new ArgumentException($"Encode: expected MaxLength of at least the {added} special tokens, got {most}.");
        }
        return options.Stride <= Math.Max(0, most - single)
            ? most - added
            : throw new ArgumentException($"Encode: expected Stride of at most {Math.Max(0, most - single)} "
                + $"(MaxLength {most} less {single} special tokens), got {options.Stride}.");
    }

    private int PaddedLength(int longest, in EncodeOptions options)
    {
        int length = options.Padding switch
        {
            Padding.None => 0,
            Padding.Longest => longest,
            _ => options.PadTo ?? options.MaxLength ?? ModelMaxLength
                ?? throw new ArgumentException("Encode: expected a length to pad to (PadTo, MaxLength or the model's), got none."),
        };
        long multiple = options is { Padding: not Padding.None, PadToMultipleOf: > 0 and int given } ? given : 1, padded = (length + multiple - 1) / multiple * multiple;
        return padded <= Array.MaxLength ? (int)padded : throw new ArgumentException($"Encode: expected a length to pad to that an array can have, got {padded:N0}.");
    }
}
