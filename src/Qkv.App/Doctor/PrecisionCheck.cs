using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.App.Doctor;

/// <summary>What a lower precision does to a model: its vectors beside those of float32.</summary>
/// <param name="Texts">How many were compared.</param>
/// <param name="MeanCosine">Of the vectors of a text, on average, after the mean vector was taken off: what all texts share tells nothing.</param>
/// <param name="SameNearest">Share of the texts whose nearest neighbour among the others is the same.</param>
/// <param name="Worst">The text of the least cosine.</param>
/// <param name="WorstToken">The token whose last hidden state has turned most, and in which text.</param>
/// <param name="Kinds">The average cosine with one kind of linear maps in int8 and everything else in float32; empty for other precisions.</param>
internal sealed record PrecisionCheck(
    int Texts, double MeanCosine, double SameNearest, (string Text, double Cosine) Worst, (string Token, string Text, double Cosine) WorstToken, IReadOnlyList<(LayerMaps Kind, double Cosine)> Kinds)
{
    /// <summary>More lines of a file are not read: every text is compared with every other.</summary>
    public const int MostTexts = 1000;

    private static readonly string[] s_sentences =
    [
        "我想吃酸菜鱼。", "今天的天气很好，我们去公园散步吧。", "请问附近有没有便宜的酒店？", "这部电影的结局让人难过。", "会议改到下周三下午三点。", "床前明月光，疑是地上霜。",
        "To be, or not to be, that is the question.", "The train to the airport leaves at half past six.", "She opened the window because the room was hot.",
        "How do I reset the password of my account?", "Prices rose faster than wages last year.", "A cat is sleeping on the old red chair.",
    ];

    public static PrecisionCheck Of(TextEncoder encoder, TextEncoder exact, IReadOnlyList<string>? given)
    {
        IReadOnlyList<string> texts = given ?? s_sentences;
        double[][] truth = Vectors(exact, texts), vectors = Vectors(encoder, texts);
        double[] cosines = Cosines(truth, vectors);
        int worst = Array.IndexOf(cosines, cosines.Min());
        LayerMaps[] kinds = encoder.Model.Precision == Precision.Int8 ? [LayerMaps.QueriesKeysValues, LayerMaps.Projection, LayerMaps.Intermediate, LayerMaps.Output] : [];
        return new PrecisionCheck(texts.Count, cosines.Average(), SameNeighbours(truth, vectors), (texts[worst], cosines[worst]), WorstOf(encoder, exact, texts),
            [.. kinds.Select(kind => (kind, Cosines(truth, Vectors(encoder.With(Model.Load(encoder.Directory, encoder.Model.Encoder.Threads, Precision.Int8, kind)), texts)).Average()))]);
    }

    /// <summary>Vectors of unit length, the mean of all taken off where there are several.</summary>
    private static double[][] Vectors(TextEncoder encoder, IReadOnlyList<string> texts)
    {
        double[][] vectors = [.. encoder.Embed(texts, new EmbedOptions { Normalize = false }).Select(text => Array.ConvertAll(text.Vector, number => (double)number))];
        for (int i = 0; i < encoder.Dimensions && texts.Count > 1; i++)
        {
            double mean = vectors.Average(vector => vector[i]);
            foreach (double[] vector in vectors) vector[i] -= mean;
        }
        return vectors;
    }

    private static double[] Cosines(double[][] a, double[][] b) => [.. a.Zip(b, Cosine)];

    private static double SameNeighbours(double[][] a, double[][] b) =>
        Enumerable.Range(0, a.Length).Average(text => Nearest(a, text) == Nearest(b, text) ? 1.0 : 0.0);

    private static int Nearest(double[][] vectors, int text)
    {
        (int Place, double Cosine) best = (-1, double.NegativeInfinity);
        for (int other = 0; other < vectors.Length; other++)
            if (other != text && Cosine(vectors[text], vectors[other]) is var cosine && cosine > best.Cosine) best = (other, cosine);
        return best.Place;
    }

    private static (string Token, string Text, double Cosine) WorstOf(TextEncoder encoder, TextEncoder exact, IReadOnlyList<string> texts)
    {
        (string Token, string Text, double Cosine) worst = ("", "", double.PositiveInfinity);
        var batch = new TokenBatch();
        foreach (string text in texts)
        {
            batch.Clear();
            encoder.Append(text, batch);
            double[][] truth = Rows(exact), rows = Rows(encoder);
            for (int token = 0; token < rows.Length; token++)
                if (Cosine(truth[token], rows[token]) is var cosine && !(cosine >= worst.Cosine))
                    worst = (encoder.Tokenizer.Vocabulary.TokenOf(batch.Ids[token]), text, cosine);
        }
        return worst;

        double[][] Rows(TextEncoder of) => [.. of.HiddenStates(batch).Chunk(of.Dimensions).Select(row => Array.ConvertAll(row, number => (double)number))];
    }

    /// <summary>1 where both are zero.</summary>
    private static double Cosine(double[] a, double[] b)
    {
        double product = 0, first = 0, second = 0;
        for (int i = 0; i < a.Length; i++) (product, first, second) = (product + a[i] * b[i], first + a[i] * a[i], second + b[i] * b[i]);
        return first == 0 && second == 0 ? 1 : product / Math.Sqrt(first * second);
    }
}
