using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using Microsoft.ML.Tokenizers;

namespace Qkv.Bench;

/// <summary>
/// Tokens a second on one thread, Qkv beside Microsoft.ML.Tokenizers on the same lines and vocabulary: alternating blocks in one
/// process, medians. Prints TSV with a header line.
/// </summary>
internal static class TokenizerRates
{
    private const int Blocks = 7;
    private const double BlockSeconds = 0.3;

    // Half Chinese, half English, as in the bundled model's corpus.
    internal static readonly string[] Sample =
    [
        "我想吃酸菜鱼，请问附近有什么好吃的餐馆吗？",
        "The quick brown fox jumps over the lazy dog, and nobody is unbelievably surprised.",
        "注意力机制让每个词都能看到句子里的其他词，权重的和等于一。",
        "Attention lets every token look at all other tokens; the weights of a row sum to one.",
        "第二十三条 公民、法人或者其他组织应当依照法律规定履行义务。",
        "In 2017 a paper with 8 authors replaced recurrence: query, key and value are three linear maps.",
    ];

    /// <summary>Runs over the lines of <paramref name="corpus"/> with the <c>vocab.txt</c> beside it, or over a small built-in text.</summary>
    public static void Run(string? corpus)
    {
        string[] lines = corpus is null
            ? [.. Enumerable.Repeat(Sample, 500).SelectMany(sample => sample)]
            : [.. File.ReadLines(corpus).Where(line => line.Length > 0)];
        DirectoryInfo directory = Directory.CreateTempSubdirectory("qkv-bench-");
        try
        {
            string vocabulary = Path.Combine(directory.FullName, "vocab.txt");
            string? given = corpus is null ? null : Path.Combine(Path.GetDirectoryName(Path.GetFullPath(corpus))!, "vocab.txt");
            if (File.Exists(given))
            {
                File.Copy(given, vocabulary);
            }
            else
            {
                File.WriteAllLines(vocabulary, VocabularyOf(lines));
            }
            Compare(corpus is null ? "built-in" : Path.GetFileName(corpus), lines, Qkv.Text.Tokenizer.Load(directory.FullName), BertTokenizer.Create(vocabulary));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>A tokenizer whose vocabulary is that of <see cref="Sample"/>.</summary>
    public static Qkv.Text.Tokenizer BuiltIn()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("qkv-bench-");
        try
        {
            File.WriteAllLines(Path.Combine(directory.FullName, "vocab.txt"), VocabularyOf(Sample));
            return Qkv.Text.Tokenizer.Load(directory.FullName);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static void Compare(string name, string[] lines, Qkv.Text.Tokenizer qkv, BertTokenizer peer)
    {
        var ids = new ArrayBufferWriter<int>(1 << 16);
        long Qkv()
        {
            long tokens = 0;
            foreach (string line in lines)
            {
                ids.ResetWrittenCount();
                tokens += qkv.Append(line, ids).Tokens;
            }
            return tokens;
        }
        long Peer()
        {
            long tokens = 0;
            foreach (string line in lines)
            {
                tokens += peer.EncodeToIds(line).Count;
            }
            return tokens;
        }
        long qkvTokens = Qkv(), peerTokens = Peer();
        var ours = new double[Blocks];
        var theirs = new double[Blocks];
        for (int block = -2; block < Blocks; block++)   // Two blocks warm the compiler up.
        {
            double qkvRate = Rate(Qkv), peerRate = Rate(Peer);
            if (block >= 0)
            {
                (ours[block], theirs[block]) = (qkvRate, peerRate);
            }
        }
        double[] ratios = [.. ours.Zip(theirs, (a, b) => a / b).Order()];
        Console.WriteLine("text\tlines\tqkv_tokens\tqkv_tokens_per_s\tpeer\tpeer_tokens\tpeer_tokens_per_s\tratio\tspread");
        Console.WriteLine(string.Join('\t', name, lines.Length, qkvTokens, Whole(Timing.Median(ours)), "Microsoft.ML.Tokenizers", peerTokens,
            Whole(Timing.Median(theirs)), Number(Timing.Median(ratios)), Number((ratios[^1] - ratios[0]) / Timing.Median(ratios))));
    }

    /// <summary>Tokens a second over a block; its first pass is not counted.</summary>
    private static double Rate(Func<long> pass)
    {
        pass();
        long tokens = 0, start = Stopwatch.GetTimestamp();
        do
        {
            tokens += pass();
        }
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < BlockSeconds);
        return tokens / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Special tokens, every character alone and as a continuation, and the 8,000 commonest words.</summary>
    private static IEnumerable<string> VocabularyOf(string[] lines)
    {
        string[] characters = [.. lines.SelectMany(line => line.ToLowerInvariant()).Where(c => c > ' ' && !char.IsSurrogate(c)).Distinct().Select(c => c.ToString())];
        IEnumerable<string> words = lines.SelectMany(line => line.ToLowerInvariant().Split(' ', ',', '.', ':', ';'))
            .Where(word => word.Length > 1 && word.All(char.IsAsciiLetterOrDigit)).CountBy(word => word).OrderByDescending(pair => pair.Value).Take(8000).Select(pair => pair.Key);
        return [.. (string[])["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], .. characters, .. characters.Select(c => "##" + c), .. words];
    }

    private static string Whole(double value) => value.ToString("F0", CultureInfo.InvariantCulture);

    private static string Number(double value) => value.ToString("F2", CultureInfo.InvariantCulture);
}
