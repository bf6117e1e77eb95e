using System.IO.Compression;
using Qkv.Tests.App;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>Vocabularies from text: what becomes a token, in which order, and what the tokenizer makes of it.</summary>
public class VocabularyTrainerTests
{
    private static readonly NormalizerOptions s_options = new(Lowercase: true);

    [Fact]
    public void Characters_come_by_frequency_and_pairs_by_count()
    {
        var words = new WordCounts(s_options);
        words.Add("Hug hug pug pug pug hugs 酸菜鱼 酸, 酸!");
        Assert.Equal(3, words.Counts["酸"]);
        IReadOnlyList<string> tokens = VocabularyTrainer.Train(words.Counts, 100, 2);
        // u 6, g 6 and so on: letters with both forms; 酸 stands alone, and what occurs once is left out, with its word.
        Assert.Equal(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "g", "##g", "u", "##u", "h", "##h", "p", "##p", "酸"], tokens.Take(14));
        // ##u ##g: 5 times; then p ##ug 3 times, h ##ug twice.
        Assert.Equal(["##ug", "pug", "hug"], tokens.Skip(14));
    }

    [Fact]
    public void Characters_beyond_the_coverage_are_left_out()
    {
        var words = new Dictionary<string, long> { ["我"] = 90, ["想"] = 6, ["吃"] = 4 };
        Assert.Equal(["我", "想"], VocabularyTrainer.Train(words, 100, 1, coverage: 0.95).Skip(5));
        Assert.Equal(["我"], VocabularyTrainer.Train(words, 100, 1, coverage: 0.9).Skip(5));
    }

    [Fact]
    public void Merging_equals_counting_everything_anew_each_time()
    {
        var random = new Random(3);
        for (int trial = 0; trial < 20; trial++)
        {
            var words = new Dictionary<string, long>();
            for (int i = 0; i < 40; i++) words[string.Concat(Enumerable.Range(0, random.Next(1, 9)).Select(_ => "aab"[random.Next(3)]))] = random.Next(1, 20);
            int size = random.Next(9, 60), least = random.Next(1, 4);
            Assert.Equal(Plain(words, size, least), VocabularyTrainer.Train(words, size, least));
        }
    }

    [Fact]
    public void The_order_of_the_words_does_not_matter()
    {
        string[] texts = [.. ToyData.Texts(50, 1).Split('\n')];
        WordCounts there = new(s_options), back = new(s_options);
        foreach (string text in texts) there.Add(text);
        foreach (string text in texts.Reverse()) back.Add(text);
        Assert.Equal(VocabularyTrainer.Train(there.Counts, 60, 2), VocabularyTrainer.Train(back.Counts, 60, 2));
    }

    [Fact]
    public void Counting_more_words_than_fit_forgets_the_rarest()
    {
        var words = new WordCounts(s_options) { MostWords = 50 };
        for (int i = 0; i < 1000; i++) words.Add($"often always w{i}");
        Assert.Equal((1000, 1000), (words.Counts["often"], words.Counts["always"]));
        Assert.InRange(words.Counts.Count, 2, 50);
    }

    [Fact]
    public void The_tokenizer_reads_held_out_text_with_it_and_it_is_the_same_each_time()
    {
        using var directory = new TemporaryDirectory();
        string text = File.ReadAllText(Path.Combine(Docs.Document.Root, "README.md")) + File.ReadAllText(Path.Combine(Docs.Document.Root, "README.zh-CN.md"));
        string[] lines = text.Split('\n');
        using (var file = new StreamWriter(new GZipStream(File.Create(directory.File("a.txt.gz")), CompressionLevel.Fastest)))
            foreach (string line in lines.Where((_, i) => i % 5 != 0)) file.WriteLine(line);
        string more = directory.Write("b.txt", string.Join('\n', lines.Where((_, i) => i % 5 == 1)));
        string[] arguments = ["train", "vocabulary", "--input", directory.File("a.txt.gz"), more, "--size", "600", "--min-count", "1", "--character-coverage", "1", "--output"];
        Command.Succeeds([.. arguments, directory.File("vocab.txt")]);
        Command.Succeeds([.. arguments, directory.File("again.txt")]);
        Assert.Equal(File.ReadAllBytes(directory.File("vocab.txt")), File.ReadAllBytes(directory.File("again.txt")));
        Assert.Equal(600, File.ReadLines(directory.File("vocab.txt")).Distinct().Count());

        Tokenizer tokenizer = Tokenizer.Load(directory.Path);
        string[] heldOut = [.. lines.Where((_, i) => i % 5 == 0)];
        int[] ids = [.. heldOut.SelectMany(line => tokenizer.Encode(line, options: new EncodeOptions { AddSpecialTokens = false }).Ids)];
        Assert.True(ids.Length > 400);
        Assert.InRange((double)ids.Count(id => id == tokenizer.UnknownId) / ids.Length, 0, 0.05);
        // What was learned from is read without loss.
        string read = string.Join(' ', lines.Where((_, i) => i % 5 == 1));
        int[] known = [.. tokenizer.Encode(read, options: new EncodeOptions { AddSpecialTokens = false }).Ids];
        Assert.DoesNotContain(tokenizer.UnknownId, known);
        Assert.Equal(string.Concat(tokenizer.Normalize(read).Where(c => c != ' ')), string.Concat(tokenizer.Decode(known, skipSpecialTokens: false).Where(c => c != ' ')), ignoreCase: true); // special tokens keep their capitals
    }

    [Fact]
    public void Capitals_are_kept_when_asked_for()
    {
        using var directory = new TemporaryDirectory();
        string text = directory.Write("text.txt", "Über Über über Über");
        Command.Succeeds("train", "vocabulary", "--input", text, "--output", directory.File("cased.txt"), "--no-lower-case");
        Command.Succeeds("train", "vocabulary", "--input", text, "--output", directory.File("plain.txt"));
        Assert.Contains("Über", File.ReadLines(directory.File("cased.txt")));
        Assert.Contains("uber", File.ReadLines(directory.File("plain.txt")));
    }

    [Fact]
    public void Bad_input_is_one_sentence_and_no_file()
    {
        using var directory = new TemporaryDirectory();
        string output = directory.File("vocab.txt");
        void Fails(int code, string words, string input, params string[] more) => Command.Fails(code, words, ["train", "vocabulary", "--input", input, "--output", output, .. more]);
        Fails(1, "holds no text", directory.Write("empty.txt", " \n\n"));
        Fails(1, "bytes.txt, line 2: it is not valid UTF-8", directory.Write("bytes.txt", [(byte)'a', (byte)'\n', 0xFF]));
        Fails(1, "plain.gz, line 1: from here on the .gz cannot be unpacked", directory.Write("plain.gz", "no gzip"));
        Fails(1, "is a directory", directory.Path);
        Fails(1, "nowhere.txt", directory.File("nowhere.txt"));
        Fails(2, "--size must be", directory.File("empty.txt"), "--size", "5");
        Assert.False(File.Exists(output));
    }

    /// <summary>The specification: counts every pair of every word before each merge.</summary>
    private static List<string> Plain(Dictionary<string, long> words, int size, int least)
    {
        List<string> tokens = [.. VocabularyTrainer.SpecialTokens];
        foreach (var character in words.SelectMany(word => word.Key.Select(c => (c, word.Key.Length, word.Value))).GroupBy(entry => entry.c).OrderByDescending(group => group.Sum(entry => entry.Value)).ThenBy(group => group.Key))
        {
            bool joined = character.Any(entry => entry.Length > 1);
            if (character.Sum(entry => entry.Value) < least || tokens.Count + (joined ? 2 : 1) > size) break;
            tokens.Add($"{character.Key}");
            if (joined) tokens.Add($"##{character.Key}");
        }
        List<(List<string> Pieces, long Times)> cut = [.. words.Select(word => (word.Key.Select((c, i) => i == 0 ? $"{c}" : $"##{c}").ToList(), word.Value)).Where(word => word.Item1.All(tokens.Contains))];
        while (tokens.Count < size)
        {
            var counts = new Dictionary<(string Left, string Right), long>();
            foreach ((List<string> pieces, long times) in cut)
                for (int i = 1; i < pieces.Count; i++) counts[(pieces[i - 1], pieces[i])] = counts.GetValueOrDefault((pieces[i - 1], pieces[i])) + times;
            if (counts.Count == 0) break;
            var best = counts.OrderByDescending(pair => pair.Value).ThenBy(pair => tokens.IndexOf(pair.Key.Left)).ThenBy(pair => tokens.IndexOf(pair.Key.Right)).First();
            if (best.Value < least) break;
            string merged = best.Key.Left + best.Key.Right[2..];
            if (!tokens.Contains(merged)) tokens.Add(merged);
            foreach ((List<string> pieces, _) in cut)
                for (int i = 0; i + 1 < pieces.Count; i++)
                {
                    if ((pieces[i], pieces[i + 1]) != best.Key) continue;
                    pieces[i] = merged;
                    pieces.RemoveAt(i + 1);
                }
        }
        return tokens;
    }
}
