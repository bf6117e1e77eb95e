using Qkv.Text;

namespace Qkv.App.Server;

/// <summary>A token of the sequence that is traced.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Token">The entry of the vocabulary, or what was written for an added token.</param>
/// <param name="Segment">Its segment.</param>
/// <param name="Sequence">0 for the first text, 1 for the second, null for special tokens.</param>
/// <param name="Offset">Where it lies in its text (UTF-16), or null for a special one and one that an experiment put there.</param>
internal sealed record TracedToken(int Id, string Token, int Segment, int? Sequence, TextRange? Offset)
{
    public bool Special => Sequence is null;

    /// <summary>The tokens of a text or pair.</summary>
    /// <exception cref="RequestException">There are none, or more than the model reads.</exception>
    public static List<TracedToken> Read(TextEncoder encoder, string text, string? pair, bool addSpecialTokens)
    {
        Encoding encoding = encoder.Tokenizer.Encode(text, pair, new EncodeOptions { AddSpecialTokens = addSpecialTokens, WholeText = false });
        if (!encoding.SequenceIds.Any(sequence => sequence is not null)) throw RequestException.Invalid("The text has no tokens; give it at least one visible character.");
        CheckLength(encoder, encoding.Length);
        return Of(encoding);
    }

    public static List<TracedToken> Of(Encoding encoding) =>
        [.. Enumerable.Range(0, encoding.Length).Select(i => new TracedToken(
            encoding.Ids[i], encoding.Tokens[i], encoding.TypeIds[i], encoding.SequenceIds[i], encoding.SequenceIds[i] is null ? null : encoding.Offsets[i]))];

    /// <exception cref="RequestException">There are more tokens than the model reads.</exception>
    public static void CheckLength(TextEncoder encoder, int tokens)
    {
        if (tokens > encoder.MaxTokens) throw RequestException.TooLarge($"The text has {tokens:N0} tokens, but this model reads at most {encoder.MaxTokens:N0}; shorten it.");
    }

    public static TokenBatch Batch(IReadOnlyList<TracedToken> tokens)
    {
        var batch = new TokenBatch();
        batch.Add([.. tokens.Select(token => token.Id)], [.. tokens.Select(token => token.Segment)]);
        return batch;
    }
}
