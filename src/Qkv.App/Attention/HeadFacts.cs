using Qkv.Text;

namespace Qkv.App.Attention;

/// <summary>Places that a head can look at.</summary>
internal enum Look
{
    Self,
    Previous,
    Next,
    Cls,
    Sep,

    /// <summary>Other places of the same token; of tokens that occur more than once.</summary>
    SameWord,

    /// <summary>Punctuation other than the token itself; of texts that have any.</summary>
    Punctuation,
}

/// <summary>
/// Where one head looks, in the mean over the tokens of texts ([CLS] and [SEP] are looked at, but their own rows are not counted), and what a
/// head that looks at everything alike would have there.
/// </summary>
/// <param name="layer">The layer, from 0.</param>
/// <param name="head">The head, from 0.</param>
internal sealed class HeadFacts(int layer, int head)
{
    private static readonly int s_looks = Enum.GetValues<Look>().Length;

    private readonly double[] _weights = new double[s_looks];
    private readonly double[] _chances = new double[s_looks];
    private readonly long[] _rows = new long[s_looks];
    private double _entropy;
    private double _distance;
    private long _tokens;

    public int Layer => layer;

    public int Head => head;

    /// <summary>Mean entropy of the rows, in nats.</summary>
    public double Entropy => _entropy / Math.Max(1, _tokens);

    /// <summary>Mean distance looked at, in tokens: Σ weight · |i − j|.</summary>
    public double Distance => _distance / Math.Max(1, _tokens);

    /// <summary>Mean weight on a place, 0 … 1.</summary>
    public double Share(Look look) => _weights[(int)look] / Math.Max(1, _rows[(int)look]);

    /// <summary>What a head that looks at every token alike has there.</summary>
    public double Chance(Look look) => _chances[(int)look] / Math.Max(1, _rows[(int)look]);

    /// <summary>Counts the rows of one text.</summary>
    /// <param name="weights">(L, L)</param>
    /// <param name="tokens">L tokens</param>
    public void Add(ReadOnlySpan<float> weights, IReadOnlyList<HeadToken> tokens)
    {
        int length = tokens.Count;
        for (int i = 0; i < length; i++)
        {
            if (tokens[i].Special != null) continue;
            ReadOnlySpan<float> row = weights.Slice(i * length, length);
            _tokens++;
            double cls = 0, sep = 0, same = 0, punctuation = 0;
            int clsCount = 0, sepCount = 0, sameCount = 0, punctuationCount = 0;
            for (int j = 0; j < length; j++)
            {
                double weight = row[j];
                if (weight > 0) _entropy -= weight * Math.Log(weight);
                _distance += weight * Math.Abs(i - j);
                if (tokens[j].Special == Look.Cls) (cls, clsCount) = (cls + weight, clsCount + 1);
                else if (tokens[j].Special == Look.Sep) (sep, sepCount) = (sep + weight, sepCount + 1);
                else if (j != i)
                {
                    if (tokens[j].Id == tokens[i].Id) (same, sameCount) = (same + weight, sameCount + 1);
                    if (tokens[j].Punctuation) (punctuation, punctuationCount) = (punctuation + weight, punctuationCount + 1);
                }
            }
            Count(Look.Self, row[i], 1, length);
            if (i > 0 && tokens[i - 1].Special == null) Count(Look.Previous, row[i - 1], 1, length);
            if (i + 1 < length && tokens[i + 1].Special == null) Count(Look.Next, row[i + 1], 1, length);
            Count(Look.Cls, cls, clsCount, length);
            Count(Look.Sep, sep, sepCount, length);
            Count(Look.SameWord, same, sameCount, length);
            Count(Look.Punctuation, punctuation, punctuationCount, length);
        }
    }

    private void Count(Look look, double weight, int places, int length)
    {
        if (places == 0) return;
        _weights[(int)look] += weight;
        _chances[(int)look] += (double)places / length;
        _rows[(int)look]++;
    }
}

/// <summary>What a head can look at.</summary>
/// <param name="Id">The token.</param>
/// <param name="Special"><see cref="Look.Cls"/>, <see cref="Look.Sep"/>, or null for a token of the text.</param>
/// <param name="Punctuation">Whether it is punctuation.</param>
internal readonly record struct HeadToken(int Id, Look? Special, bool Punctuation)
{
    /// <summary>The tokens of an encoded text or pair.</summary>
    public static HeadToken[] Of(Encoding encoding, Vocabulary vocabulary)
    {
        int cls = vocabulary.IdOf("[CLS]");
        return [.. Enumerable.Range(0, encoding.Length).Select(i => new HeadToken(
            encoding.Ids[i],
            encoding.SpecialTokensMask[i] == 0 ? null : encoding.Ids[i] == cls ? Look.Cls : Look.Sep,
            encoding.SpecialTokensMask[i] == 0 && System.Text.Rune.DecodeFromUtf16(encoding.Tokens[i], out System.Text.Rune rune, out int used) == System.Buffers.OperationStatus.Done
                && used == encoding.Tokens[i].Length && UnicodeData.IsPunctuation(rune.Value)))];
    }
}
