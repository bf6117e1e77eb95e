using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>A small new model and labelled texts that it can learn in seconds: fruit or tools among words that mean nothing.</summary>
internal static class ToyData
{
    private static readonly string[] s_fruit = ["apple", "pear", "plum"], s_tools = ["saw", "drill", "file"], s_filler = ["the", "a", "my", "is", "here", "now", "on", "table"];

    public static TemporaryDirectory Model()
    {
        using var words = new TemporaryDirectory();
        string vocabulary = words.Write("vocab.txt", string.Join('\n', (string[])["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", .. s_fruit, .. s_tools, .. s_filler, .. "abcdefg酸菜鱼饭面".Select(letter => letter.ToString())]) + "\n");
        var directory = new TemporaryDirectory();
        NewModel.Write(directory.Path, vocabulary, new ModelShape(Layers: 2, Hidden: 32, Heads: 2, Intermediate: 64, Positions: 32), seed: 5);
        return directory;
    }

    /// <summary>label, text</summary>
    public static string Texts(int rows, int seed)
    {
        var random = new Random(seed);
        return "label\ttext\n" + string.Concat(Enumerable.Range(0, rows).Select(_ =>
        {
            bool fruit = random.Next(2) == 0;
            string[] text = [.. Enumerable.Range(0, random.Next(2, 8)).Select(_ => s_filler[random.Next(s_filler.Length)])];
            text[random.Next(text.Length)] = (fruit ? s_fruit : s_tools)[random.Next(3)];
            return $"{(fruit ? "fruit" : "tool")}\t{string.Join(' ', text)}\n";
        }));
    }

    /// <summary>label, text: the tools that a text has, in any number.</summary>
    public static string Tools(int rows, int seed) => Table("label\ttext", rows, seed, random =>
    {
        string[] text = Filler(random), tools = [.. s_tools.Where(_ => random.Next(3) == 0)];
        return $"{string.Join('|', tools)}\t{string.Join(' ', [.. text, .. tools])}";
    });

    /// <summary>label, text: how many fruits there are less how many tools, halved.</summary>
    public static string Counts(int rows, int seed) => Table("label\ttext", rows, seed, random =>
    {
        int fruits = random.Next(4), tools = random.Next(4);
        string[] text = [.. Filler(random), .. Enumerable.Range(0, fruits).Select(_ => s_fruit[random.Next(3)]), .. Enumerable.Range(0, tools).Select(_ => s_tools[random.Next(3)])];
        return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{(fruits - tools) / 2.0}\t{string.Join(' ', text)}");
    });

    /// <summary>label, first, second: whether both are of a kind.</summary>
    public static string Kinds(int rows, int seed) => Table("label\tfirst\tsecond", rows, seed, random =>
    {
        bool first = random.Next(2) == 0, second = random.Next(2) == 0;
        return $"{(first == second ? "same" : "other")}\t{(first ? s_fruit : s_tools)[random.Next(3)]}\t{(second ? s_fruit : s_tools)[random.Next(3)]}";
    });

    private static string Table(string header, int rows, int seed, Func<Random, string> row)
    {
        var random = new Random(seed);
        return header + "\n" + string.Concat(Enumerable.Range(0, rows).Select(_ => row(random) + "\n"));
    }

    private static string[] Filler(Random random) => [.. Enumerable.Range(0, random.Next(2, 6)).Select(_ => s_filler[random.Next(s_filler.Length)])];

    /// <summary>tags, chars: 酸菜 with 鱼 or without is a dish, 饭 or 面 is a staple.</summary>
    public static string Tagged(int rows, int seed)
    {
        var random = new Random(seed);
        return "tags\tchars\n" + string.Concat(Enumerable.Range(0, rows).Select(_ =>
        {
            var pieces = new List<(string Tag, string Character)>();
            for (int i = random.Next(2, 6); i > 0; i--)
                pieces.AddRange(random.Next(4) switch
                {
                    0 => [("B-dish", "酸"), ("I-dish", "菜"), ("I-dish", "鱼")],
                    1 => [("B-staple", random.Next(2) == 0 ? "饭" : "面")],
                    2 => [("O", "▁")],
                    _ => [("O", "abcdefg"[random.Next(7)].ToString())],
                });
            return $"{string.Join(' ', pieces.Select(piece => piece.Tag))}\t{string.Join(' ', pieces.Select(piece => piece.Character))}\n";
        }));
    }

    /// <summary>zh, en: letter for letter a translation; all rows differ.</summary>
    public static string Pairs(int rows, int seed)
    {
        var random = new Random(seed);
        string[] texts = [.. Enumerable.Range(0, 625).Select(number => string.Concat(Enumerable.Range(0, 4).Select(i => "abcde"[number / (int)Math.Pow(5, i) % 5])))];
        random.Shuffle(texts);
        return "note\tzh\ten\n" + string.Concat(texts.Take(rows).Select(text => $"-\t{string.Join(' ', text.Select(letter => "酸菜鱼饭面"["abcde".IndexOf(letter)]))}\t{string.Join(' ', text.ToCharArray())}\n"));
    }

    /// <summary>Documents of sentences.</summary>
    public static string Sentences(int documents, int seed)
    {
        var random = new Random(seed);
        return string.Join("\n\n", Enumerable.Range(0, documents).Select(_ => string.Concat(Enumerable.Range(0, 4).Select(_ =>
            string.Join(' ', Enumerable.Range(0, 5).Select(_ => s_filler[random.Next(s_filler.Length)])) + ". ")))) + "\n";
    }
}
