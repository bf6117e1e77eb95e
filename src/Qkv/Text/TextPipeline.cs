namespace Qkv.Text;

/// <summary>
/// Text to tokens, before templates and cuts: added tokens as given, normalizer, normalized added tokens, words, pieces.
/// Source: huggingface/tokenizers, AddedVocabulary::extract_and_normalize and TokenizerImpl::do_tokenize.
/// </summary>
internal sealed class TextPipeline
{
    private readonly BertNormalizer _normalizer;
    private readonly WordPiece _wordPiece;
    private readonly AddedTokens? _asGiven, _normalized;

    public TextPipeline(TokenizerParts parts)
    {
        _normalizer = BertNormalizer.For(parts.Normalizer);
        _wordPiece = new WordPiece(
            parts.Vocabulary, parts.IsModelToken, parts.Vocabulary.IdOf(parts.UnknownToken), parts.ContinuationPrefix, parts.LongestWord);
        _asGiven = Search(parts, token => !token.Normalized, text => text);
        _normalized = Search(parts, token => token.Normalized, Normalize);
    }

    /// <summary>What the normalizer alone makes of a text.</summary>
    public string Normalize(string text)
    {
        var normalized = new NormalizedText();
        _normalizer.Normalize(text, 0, normalized);
        return normalized.Characters.ToString();
    }

    /// <summary>Added tokens are split off the text as given; what is between them is normalized and made into words.</summary>
    public void Tokenize(ReadOnlySpan<char> text, TokenBuffer tokens, NormalizedText normalized)
    {
        int search = 0, taken = 0;
        while (_asGiven is not null && _asGiven.TryNext(text, ref search, taken, out AddedMatch match))
        {
            TokenizePiece(text, taken, match.Start, tokens, normalized);
            Add(match.Id, text[match.Start..match.End], match.Start, match.End, tokens);
            taken = match.End;
        }
        TokenizePiece(text, taken, text.Length, tokens, normalized);
    }

    private void TokenizePiece(ReadOnlySpan<char> text, int start, int end, TokenBuffer tokens, NormalizedText normalized)
    {
        if (start >= end || tokens.IsFull)
        {
            return;
        }
        normalized.Clear();
        _normalizer.Normalize(text[start..end], start, normalized);
        ReadOnlySpan<char> characters = normalized.Characters;
        ReadOnlySpan<int> sources = normalized.Sources;
        int search = 0, taken = 0;
        while (_normalized is not null && _normalized.TryNext(characters, ref search, taken, out AddedMatch match))
        {
            Words(taken, match.Start, text, normalized, tokens);
            bool aligned = normalized.Aligned;
            Add(match.Id, characters[match.Start..match.End],
                aligned ? sources[match.Start] : 0, aligned ? WordPiece.EndOf(text, sources[match.End - 1]) : 0, tokens);
            taken = match.End;
        }
        Words(taken, characters.Length, text, normalized, tokens);
    }

    private void Words(int start, int end, ReadOnlySpan<char> original, NormalizedText normalized, TokenBuffer tokens)
    {
        if (start < end)
        {
            ReadOnlySpan<int> sources = normalized.Aligned ? normalized.Sources[start..end] : [];
            _wordPiece.Tokenize(normalized.Characters[start..end], sources, original, tokens);
        }
    }

    private static void Add(int id, ReadOnlySpan<char> written, int start, int end, TokenBuffer tokens)
    {
        if (!tokens.IsFull)
        {
            tokens.Add(id);
            if (tokens.Detailed)
            {
                tokens.Describe(written.ToString(), start, end);
            }
            tokens.EndWord(spelled: false);
        }
    }

    private AddedTokens? Search(TokenizerParts parts, Func<AddedToken, bool> which, Func<string, string> form)
    {
        // Of two that look the same once normalized, huggingface/tokenizers finds now one, now the other; here it is the first.
        AddedToken[] tokens = [.. parts.Added.Where(which)];
        return tokens.Length == 0 ? null : new AddedTokens(tokens, form);
    }
}
