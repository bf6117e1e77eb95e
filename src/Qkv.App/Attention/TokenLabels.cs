using System.Globalization;
using Qkv.Text;
using Rune = System.Text.Rune;

namespace Qkv.App.Attention;

/// <summary>Tokens as a person reads them: an unknown one with the text that it stands for, and nothing that moves the cursor.</summary>
internal static class TokenLabels
{
    public static string[] Of(Encoding encoding, Vocabulary vocabulary, int unknown, string text, string? pair)
    {
        var labels = new string[encoding.Length];
        for (int token = 0; token < labels.Length; token++)
        {
            string label = encoding.Tokens[token];
            if (encoding.Ids[token] == unknown && encoding.SpecialTokensMask[token] == 0)
            {
                TextRange range = encoding.Offsets[token];
                string source = encoding.SequenceIds[token] == 1 ? pair ?? "" : text;
                label = $"{vocabulary.TokenOf(unknown)}{source[range.Start..range.End]}";
            }
            labels[token] = Clean(label);
        }
        return labels;
    }

    /// <summary>Without controls and marks of direction, which would break a table, or worse.</summary>
    public static string Clean(string text)
    {
        var clean = new System.Text.StringBuilder(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
            if (Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator))
                clean.Append(rune.ToString());
        return clean.ToString();
    }
}
