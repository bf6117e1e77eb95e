using System.Text.Json;
using Qkv.Parameters;

namespace Qkv.Tests.App;

public class TaskTests
{
    [Fact]
    public void A_mask_is_filled()
    {
        JsonElement mask = Assert.Single(Command.Succeeds("fill-mask", "请问附近有什么好吃的[MASK]馆吗？", "--top", "3", "--json").Json.EnumerateArray());
        Assert.Equal(3, mask.GetArrayLength());
        Assert.Equal(["token", "id", "score"], mask[0].EnumerateObject().Select(member => member.Name));
        Assert.Equal("餐", mask[0].GetProperty("token").GetString());
        Assert.InRange(mask[0].GetProperty("score").GetSingle(), 0.5f, 1f);
    }

    [Fact]
    public void Each_mask_has_its_own_guesses()
    {
        Assert.Equal(2, Command.Succeeds("fill-mask", "今天[MASK]想吃[MASK]菜鱼", "--json").Json.GetArrayLength());
        Ran ran = Command.Succeeds("fill-mask", "今天[MASK]想吃[MASK]菜鱼", "--top", "1");
        Assert.Contains("mask 2 of 2", ran.Output);
        Assert.DoesNotContain('\u001b', ran.Output);
    }

    [Fact]
    public void A_text_without_a_mask_is_refused()
    {
        Command.Fails(1, "The text has no [MASK]", "fill-mask", "今天");
        Command.Fails(1, "beyond the 512 tokens", "fill-mask", string.Concat(Enumerable.Repeat("我", 600)) + "[MASK]");
    }

    [Theory]
    [InlineData("cannot classify texts", "classify", "a")]
    [InlineData("cannot label tokens", "ner", "a")]
    [InlineData("cannot answer questions", "answer", "--question", "a", "--context", "b")]
    public void A_model_without_the_task_head_says_what_it_has(string words, params string[] arguments)
    {
        Command.Fails(1, words, arguments);
        Command.Fails(1, "masked language model", arguments);
    }

    [Fact]
    public void Texts_are_classified_a_line_each()
    {
        using TemporaryDirectory model = Command.WithVocabulary("bert-sequence-classification");
        JsonElement[] lines = [.. Command.Succeeds("classify", "我想吃", "a b", "--model", model.Path).JsonLines];
        Assert.Equal(2, lines.Length);
        IReadOnlyList<LabelScore> expected = TextEncoder.Load(model.Path).Classify("a b");
        Assert.Equal(expected, lines[1].EnumerateArray().Select(row => new LabelScore(row.GetProperty("label").GetString()!, row.GetProperty("score").GetSingle())));
    }

    [Fact]
    public void Lines_of_a_file_are_classified_as_texts_are()
    {
        using TemporaryDirectory model = Command.WithVocabulary("bert-sequence-classification");
        string file = model.Write("lines.txt", "我想吃\n\na b\n");
        string expected = Command.Succeeds("classify", "我想吃", "", "a b", "--model", model.Path).Output;
        Assert.Equal(expected, Command.Succeeds("classify", "--input", file, "--model", model.Path).Output);
        Assert.Equal(expected, Command.Run(File.ReadAllBytes(file), "classify", "--input", "-", "--model", model.Path).Output);
        Assert.NotEqual(expected, Command.Succeeds("classify", "--input", file, "--pair", "酸菜鱼", "--model", model.Path).Output);
        Command.Fails(2, "classify needs either texts or --input FILE", "classify", "a", "--input", file, "--model", model.Path);
        Command.Fails(2, "ner needs either texts or --input FILE", "ner", "--model", model.Path);
    }

    [Fact]
    public void Lines_of_several_batches_are_answered_and_what_is_cut_is_counted()
    {
        using TemporaryDirectory model = Command.WithVocabulary("bert-token-classification");
        TextEncoder encoder = TextEncoder.Load(model.Path);
        int lines = 2 * encoder.Model.Encoder.BatchTokens / 5 + 7;
        string few = string.Concat(Enumerable.Repeat("我 想 鱼\n", lines)), cut = new string('我', 1000) + "\n";
        string file = model.Write("lines.txt", cut + few + cut);
        Ran ran = Command.Succeeds("ner", "--input", file, "--model", model.Path);
        Assert.Equal(lines + 2, ran.Lines.Length);
        Assert.Single(ran.Lines[1..^1].Distinct());
        Command.IsOneSentence("2 texts were longer than the", ran.Error);
    }

    [Fact]
    public void Lines_before_one_that_cannot_be_read_are_answered()
    {
        using TemporaryDirectory model = Command.WithVocabulary("bert-sequence-classification");
        Ran ran = Command.Run([.. "a\nb\n"u8, 0xFF, (byte)'\n', .. "a\n"u8], "classify", "--input", "-", "--model", model.Path);
        Assert.Equal((1, 2), (ran.Code, ran.Lines.Length));
        Command.IsOneSentence("line 3", ran.Error);
    }

    [Theory]
    [InlineData("cannot classify texts", "classify")]
    [InlineData("cannot label tokens", "ner")]
    public void A_model_without_the_task_head_is_refused_before_the_first_line(string words, string verb) => Command.Fails(1, words, verb, "--input", "-");

    [Theory]
    [InlineData("bert-sequence-classification", "classify", "a", "鱼")]
    [InlineData("bert-token-classification", "ner", "a", "鱼")]
    [InlineData("bert-question-answering", "answer", "--question", "who?", "--context", "鱼")]
    public void Damage_that_a_task_head_would_hide_is_told(string golden, params string[] arguments)
    {
        using TemporaryDirectory model = Command.WithVocabulary(golden);
        Command.Damage(model, "embeddings.word_embeddings.weight", (numbers, features) => numbers[10 * features] = float.NaN); // that of 鱼
        Command.Fails(1, "鱼", [.. arguments, "--model", model.Path]);
    }

    [Theory]
    [InlineData("bert-sequence-classification", "classify")]
    [InlineData("bert-token-classification", "ner")]
    public void Infinities_that_a_tanh_or_a_softmax_would_hide_are_told(string golden, string verb)
    {
        int refused = 0;
        foreach (float large in (float[])[float.MaxValue, -float.MaxValue])
        {
            // Finite itself; one feature of the last hidden states is infinite where it has the sign of the bias.
            using TemporaryDirectory model = Command.WithVocabulary(golden);
            int last = EncoderConfig.Load(model.Path).Layers - 1;
            Command.Damage(model, $"layer.{last}.output.LayerNorm.weight", (numbers, _) => numbers[0] = float.MaxValue);
            Command.Damage(model, $"layer.{last}.output.LayerNorm.bias", (numbers, _) => numbers[0] = large);
            Ran ran = Command.Run(verb, "a", "--model", model.Path);
            if (ran.Code == 0) continue;
            Command.IsOneSentence("computes NaN or infinities for 'a'", ran.Error);
            refused++;
        }
        Assert.InRange(refused, 1, 2);
    }

    [Fact]
    public void Entities_are_counted_in_code_points()
    {
        using TemporaryDirectory model = Command.WithVocabulary("bert-token-classification");
        const string text = "🍜🍜 我想吃酸菜鱼";
        JsonElement[] rows = [.. Command.Succeeds("ner", text, "--model", model.Path).Json.EnumerateArray()];
        IReadOnlyList<Entity> expected = TextEncoder.Load(model.Path).Entities(text);
        Assert.NotEmpty(expected);
        Assert.Equal(expected.Select(entity => entity.Word), rows.Select(row => row.GetProperty("word").GetString()));
        Assert.Equal(["entity_group", "score", "word", "start", "end"], rows[0].EnumerateObject().Select(member => member.Name));
        System.Text.Rune[] points = [.. text.EnumerateRunes()];
        Assert.All(rows, row => Assert.Equal(
            row.GetProperty("word").GetString(), string.Concat(points[row.GetProperty("start").GetInt32()..row.GetProperty("end").GetInt32()].Select(point => point.ToString()))));
    }

    [Fact]
    public void A_question_is_answered_from_its_context()
    {
        using TemporaryDirectory model = Command.WithVocabulary("bert-question-answering");
        const string context = "🍜 我想吃酸菜鱼";
        JsonElement answer = Command.Succeeds("answer", "--question", "who?", "--context", context, "--model", model.Path).Json;
        Assert.Equal(["answer", "score", "start", "end"], answer.EnumerateObject().Select(member => member.Name));
        System.Text.Rune[] points = [.. context.EnumerateRunes()];
        Assert.Equal(answer.GetProperty("answer").GetString(), string.Concat(points[answer.GetProperty("start").GetInt32()..answer.GetProperty("end").GetInt32()].Select(point => point.ToString())));
        Command.Fails(2, "--context must not be empty", "answer", "--question", "who?", "--context", "", "--model", model.Path);
    }
}
