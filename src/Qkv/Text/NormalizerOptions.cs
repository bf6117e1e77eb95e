namespace Qkv.Text;

/// <summary>
/// The four switches of BERT's text normalizer. Source: huggingface/tokenizers, BertNormalizer.
/// </summary>
/// <param name="CleanText">Drop control characters and turn every kind of white space into a space.</param>
/// <param name="HandleChineseCharacters">Put spaces around every Chinese character, so that each is a word.</param>
/// <param name="StripAccents">Decompose (NFD) and drop nonspacing marks; null: as <paramref name="Lowercase"/> says.</param>
/// <param name="Lowercase">Lower-case every character by itself (no final sigma).</param>
public readonly record struct NormalizerOptions(
    bool CleanText = true, bool HandleChineseCharacters = true, bool? StripAccents = null, bool Lowercase = true)
{
    /// <summary><see cref="StripAccents"/> with null resolved.</summary>
    public bool StripsAccents => StripAccents ?? Lowercase;
}
