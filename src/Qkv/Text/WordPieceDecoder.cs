using System.Text;

namespace Qkv.Text;

/// <summary>
/// Joins tokens to text: pieces that continue a word lose their prefix, other tokens get a space before them, and with clean-up
/// the space before punctuation and English contractions goes. Source: huggingface/tokenizers, decoders/wordpiece.rs.
/// </summary>
/// <param name="prefix">What a piece that continues a word starts with; null: no decoder, tokens are joined by spaces.</param>
/// <param name="cleanUp">Whether to clean up.</param>
internal sealed class WordPieceDecoder(string? prefix, bool cleanUp)
{
    // In this order; each token is cleaned by itself, its leading space included.
    private static readonly (string Found, string Instead)[] s_cleaning =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    public string Decode(IReadOnlyList<string> tokens)
    {
        if (prefix is null)
        {
            return string.Join(' ', tokens);
        }
        var text = new StringBuilder();
        for (int i = 0; i < tokens.Count; i++)
        {
            string token = tokens[i];
            if (i > 0)
            {
                token = token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
            }
            text.Append(cleanUp ? CleanUp(token) : token);
        }
        return text.ToString();
    }

    private static string CleanUp(string token)
    {
        foreach ((string found, string instead) in s_cleaning)
        {
            token = token.Replace(found, instead, StringComparison.Ordinal);
        }
        return token;
    }
}
