using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>Which pairs are read, kept out, and found, worked out by hand.</summary>
public class PairTests
{
    [Fact]
    public void Pairs_to_measure_on_depend_on_their_texts_alone()
    {
        TextPair[] pairs = [.. Enumerable.Range(0, 200).Select(i => new TextPair($"a{i % 150}", $"b{i}"))], shuffled = [.. pairs];
        new Random(3).Shuffle(shuffled);
        List<TextPair> taken = DistinctPairs.Take(pairs, 50);
        Assert.Equal(taken, DistinctPairs.Take(shuffled, 50));
        Assert.Equal(taken[..20], DistinctPairs.Take(pairs, 20));
        Assert.NotEqual(taken, DistinctPairs.Take(pairs, 50, seed: 2));
        Assert.Equal(50, taken.Select(pair => pair.Anchor).Distinct().Count());
        Assert.Equal(150, DistinctPairs.Take(pairs, 1000).Count);

        List<TextPair> rest = DistinctPairs.Without(pairs, taken);
        Assert.All(rest, pair => Assert.DoesNotContain(taken, kept => kept.Anchor == pair.Anchor || kept.Positive == pair.Positive));
        Assert.Equal(pairs.Length, rest.Count + pairs.Count(pair => taken.Any(kept => kept.Anchor == pair.Anchor)));
    }

    [Fact]
    public void Case_and_punctuation_make_no_other_text()
    {
        TextPair hi = new("Hi.", "嗨！"), shout = new("HI !", "你好"), other = new("High.", "高。"), marks = new("?!", "...");
        Assert.Equal([other, marks], DistinctPairs.Without([shout, other, marks], [hi]));
        Assert.Equal([other], DistinctPairs.Without([other, marks], [marks]));
        Assert.Single(DistinctPairs.Take([hi, shout], 5));
        // A text may be the other one's partner, too.
        Assert.Empty(DistinctPairs.Without([new("嗨", "x")], [hi]));
    }

    [Fact]
    public void A_line_is_cut_into_sentences()
    {
        Assert.Equal(["他说：“好。”", "然后走了！", "Version 3.5 is out.", "\"Really?\"", "没有句号"], SentencePairs.Split("他说：“好。”然后走了！Version 3.5 is out. \"Really?\" 没有句号"));
        Assert.Equal(["wait...", "no"], SentencePairs.Split("wait... no"));
        Assert.Empty(SentencePairs.Split("  "));
    }

    [Fact]
    public void Neighbouring_sentences_stay_in_their_document()
    {
        using var data = new TemporaryDirectory();
        string path = data.Write("text.txt", "sentence one. sentence two. sentence three.\nsentence four.\n\nsentence five.\n\nsentence six. Yes. sentence seven.\n");
        Assert.Equal([new("sentence one.", "sentence two."), new("sentence three.", "sentence four."), new("sentence six.", "sentence seven.")], SentencePairs.Read(path, 10, 1));
        Assert.Equal(2, SentencePairs.Read(path, 2, 1).Count);
        Assert.Throws<InvalidDataException>(() => SentencePairs.Read(data.Write("none.txt", "sentence one.\n\nsentence two.\n"), 10, 1));
    }

    [Fact]
    public void Columns_are_found_by_the_names_that_pairs_have()
    {
        using var data = new TemporaryDirectory();
        Assert.Equal([new("c", "b")], PairFile.Read(data.Write("a.tsv", "id\ten\tzh\na\tb\tc\n"), null));
        Assert.Equal([new("a", "b")], PairFile.Read(data.Write("b.tsv", "x\ty\tz\na\tb\tc\n"), null));
        Assert.Equal([new("c", "a")], PairFile.Read(data.File("b.tsv"), ("z", "1")));
        Assert.Equal([new("q", "p")], PairFile.Read(data.Write("c.jsonl", "{\"positive\": \"p\", \"query\": \"q\"}\n"), null));
        Assert.Equal([new("a", "b", 0.25)], PairFile.Read(data.Write("d.tsv", "sentence1\tsentence2\tscore\na\tb\t0.25\n"), null));
    }

    [Fact]
    public void As_near_as_the_right_one_counts_as_nearer()
    {
        double loss = 0;
        // Query 0 is as near to 1 as to its own, query 1 is nearest to its own, query 2 is nearest to 0, then 1.
        float[] queries = [1, 0, 0, 1, 1, 0.5f], candidates = [1, 0, 1, 3, 0, 0.1f];
        Assert.Equal([1, 0, 2], Retrieval.Ranks(queries, candidates, 3, 1f, 1, ref loss));
        float[] same = [.. Enumerable.Repeat(1f, 8)], none = [.. Enumerable.Repeat(float.NaN, 8)];
        Assert.Equal([3, 3, 3, 3], Retrieval.Ranks(same, same, 4, 1f, 1, ref loss));
        Assert.Equal([3, 3, 3, 3], Retrieval.Ranks(none, none, 4, 1f, 1, ref loss));
    }

    [Fact]
    public void Many_pairs_are_ranked_as_few_are()
    {
        // More than are in memory together: each finds itself, and the loss is that of a choice among all.
        const int count = 600;
        var random = new Random(1);
        float[] vectors = Kernels.RandomNumbers.Normal(random, count * 16);
        for (int i = 0; i < count; i++)
        {
            float length = MathF.Sqrt(Enumerable.Range(i * 16, 16).Sum(k => vectors[k] * vectors[k]));
            for (int k = i * 16; k < (i + 1) * 16; k++) vectors[k] /= length;
        }
        double loss = 0;
        Assert.All(Retrieval.Ranks(vectors, vectors, count, 0.1f, 2, ref loss), rank => Assert.Equal(0, rank));
        double truth = Enumerable.Range(0, count).Sum(i => Math.Log(Enumerable.Range(0, count).Sum(j => Math.Exp((Dot(i, j) - Dot(i, i)) / 0.1))));
        Assert.Equal(truth, loss, 1e-3 * truth);

        double Dot(int i, int j) => Enumerable.Range(0, 16).Sum(k => (double)vectors[i * 16 + k] * vectors[j * 16 + k]);
    }

    [Fact]
    public void Spearman_is_the_correlation_of_ranks()
    {
        Assert.Equal(1, Correlation.Spearman([1, 2, 30], [4, 5, 6]), 12);
        Assert.Equal(-1, Correlation.Spearman([1, 2, 30], [6, 5, 4]), 12);
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / √(4.5 · 5).
        Assert.Equal(4.5 / Math.Sqrt(4.5 * 5), Correlation.Spearman([1, 2, 2, 3], [1, 2, 3, 4]), 12);
        Assert.Equal(0, Correlation.Spearman([1, 1], [1, 2]));
    }
}
