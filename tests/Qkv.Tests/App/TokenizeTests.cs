using System.Text.Json;
using System.Text.Json.Nodes;

namespace Qkv.Tests.App;

public class TokenizeTests
{
    /// <summary>A directory with nothing but a tokenizer.</summary>
    private static TemporaryDirectory Tokenizer(string vocabulary, bool lowercase)
    {
        var directory = new TemporaryDirectory();
        File.Copy(Path.Combine(Command.Golden("tokenizer"), vocabulary + ".vocab.txt"), directory.File("vocab.txt"));
        directory.Write("tokenizer_config.json", $$"""{"do_lower_case": {{(lowercase ? "true" : "false")}}, "model_max_length": 512}""");
        return directory;
    }

    [Theory]
    [InlineData("bert-base-uncased.singles", "bert-base-uncased", true)]
    [InlineData("bert-base-chinese.singles", "bert-base-chinese", false)]
    [InlineData("bert-base-chinese-lower.singles", "bert-base-chinese", true)]
    [InlineData("bert-base-uncased.lone-surrogates", "bert-base-uncased", true)]
    [InlineData("bert-base-chinese.lone-surrogates", "bert-base-chinese", false)]
    public void Rows_of_the_golden_come_out_as_they_are(string golden, string vocabulary, bool lowercase)
    {
        using TemporaryDirectory model = Tokenizer(vocabulary, lowercase);
        string input = Path.Combine(Command.Golden("tokenizer"), golden + ".jsonl");
        JsonElement[] expected = [.. File.ReadLines(input).Select(line => JsonDocument.Parse(line).RootElement)];
        JsonElement[] rows = [.. Command.Succeeds("tokenize", "--model", model.Path, "--input", input).JsonLines];
        Assert.Equal(expected.Length, rows.Length);
        foreach ((JsonElement row, JsonElement right) in rows.Zip(expected))
        {
            Assert.Equal(
                ["ids", "tokens", "type_ids", "attention_mask", "special_tokens_mask", "word_ids", "sequence_ids", "offsets", "offsets_utf16", "overflowing"],
                row.EnumerateObject().Select(member => member.Name));
            foreach (JsonProperty member in right.EnumerateObject())
                if (row.TryGetProperty(member.Name, out JsonElement value)) Assert.True(JsonElement.DeepEquals(member.Value, value), $"{member.Name}: {member.Value} {value}");
        }
    }

    [Fact]
    public void Pairs_are_cut_and_padded_as_asked()
    {
        using TemporaryDirectory model = Tokenizer("bert-base-uncased", true);
        int compared = 0, refused = 0;
        foreach (IGrouping<string, JsonNode> group in File.ReadLines(Path.Combine(Command.Golden("tokenizer"), "bert-base-uncased.pairs.jsonl"))
            .Select(line => JsonNode.Parse(line)!).GroupBy(row => row["truncation"]?.ToJsonString() ?? ""))
        {
            JsonNode[] expected = [.. group];
            string input = model.Write("rows.jsonl", string.Concat(expected.Select(row => new JsonObject { ["text"] = row["text"]!.DeepClone(), ["pair"] = row["pair"]?.DeepClone() }.ToJsonString() + "\n")));
            Ran ran = Command.Run(["tokenize", "--model", model.Path, "--input", input, .. Options(expected[0]["truncation"])]);
            Assert.Equal(expected.Any(row => row["error"] is not null) ? 1 : 0, ran.Code);
            if (ran.Code != 0) Command.IsOneSentence("could not be tokenized as asked", ran.Error);
            foreach ((string line, JsonNode right) in ran.Lines.Zip(expected))
            {
                JsonNode row = JsonNode.Parse(line)!;
                Assert.Equal(right["error"] is null, row["error"] is null);
                if (row["error"] is not null) refused++;
                foreach (string name in (string[])["ids", "type_ids", "attention_mask", "offsets", "sequence_ids"])
                    if (right["error"] is null && right[name] is not null) Assert.True(JsonNode.DeepEquals(right[name], row[name]), $"{right["id"]} {name}");
                compared++;
            }
        }
        Assert.Equal((272, 51), (compared, refused));
    }

    private static IEnumerable<string> Options(JsonNode? truncation)
    {
        if (truncation is null) yield break;
        (string Option, string Name)[] names =
            [("--max-length", "max_length"), ("--truncation", "strategy"), ("--stride", "stride"), ("--truncation-side", "direction"), ("--padding", "pad"), ("--pad-side", "pad_side"), ("--pad-to-multiple-of", "pad_to_multiple_of")];
        foreach ((string option, string name) in names)
            if (truncation[name] is { } value)
            {
                yield return option;
                yield return value.ToString();
            }
    }

    [Fact]
    public void Nothing_is_cut_unless_asked()
    {
        string text = string.Concat(Enumerable.Repeat("我", 2000));
        Assert.Equal(2002, Command.Succeeds("tokenize", text).Json.GetProperty("ids").GetArrayLength());
        Assert.Equal(2002, Command.Succeeds("tokenize", text, "--padding", "max_length", "--max-length", "9").Json.GetProperty("ids").GetArrayLength());
        Assert.Equal(512, Command.Succeeds("tokenize", text, "--truncation", "longest_first").Json.GetProperty("ids").GetArrayLength());
        JsonElement cut = Command.Succeeds("tokenize", text, "--max-length", "1000", "--stride", "10").Json;
        Assert.Equal(1000, cut.GetProperty("ids").GetArrayLength());
        Assert.True(cut.GetProperty("overflowing")[0].TryGetProperty("offsets_utf16", out _));
    }

    [Fact]
    public void Texts_are_one_batch()
    {
        JsonElement[] rows = [.. Command.Succeeds("tokenize", "我想吃", "我", "--padding", "longest", "--pad-side", "left", "--pad-to-multiple-of", "4", "--no-special-tokens").JsonLines];
        Assert.Equal([0, 0, 0, 1], rows[1].GetProperty("attention_mask").EnumerateArray().Select(bit => bit.GetInt32()));
        Assert.Equal([0, 1, 1, 1], rows[0].GetProperty("attention_mask").EnumerateArray().Select(bit => bit.GetInt32()));
    }

    [Fact]
    public void A_row_that_cannot_be_cut_leaves_the_others_in_their_order()
    {
        using var directory = new TemporaryDirectory();
        string input = directory.Write("rows.jsonl", "{\"text\": \"我想吃酸菜鱼\", \"pair\": \"我\"}\n\"我\"\n");
        foreach (string[] padding in (string[][])[[], ["--padding", "longest"]])
        {
            Ran ran = Command.Run(["tokenize", "--input", input, "--max-length", "5", "--truncation", "only_second", .. padding]);
            Assert.Equal(1, ran.Code);
            Assert.Equal(["error", "ids"], ran.JsonLines.Select(row => row.EnumerateObject().First().Name));
            Assert.Equal("qkv: 1 of 2 rows could not be tokenized as asked; their lines say why.\n", ran.Error);
        }
    }

    [Fact]
    public void A_row_that_is_no_row_is_named()
    {
        using var directory = new TemporaryDirectory();
        Ran ran = Command.Run("tokenize", "--input", directory.Write("rows.jsonl", "\"a\"\n{\"txt\": 1}\n"));
        Assert.Single(ran.Lines);
        Command.IsOneSentence("rows.jsonl, line 2", ran.Error);
    }

    [Fact]
    public void A_terminal_shows_a_table()
    {
        Ran ran = Command.RunOn([], ["tokenize", "吃🍜"], isInteractive: true, hasColour: false);
        Assert.Contains("   token   id  type  word  offsets  text", ran.Output);
        Assert.Contains("2  [UNK]    1     0     1      1–2  🍜", ran.Output);
        Assert.StartsWith("{\"ids\":", Command.RunOn([], ["tokenize", "吃🍜", "--json"], isInteractive: true, hasColour: false).Output);
    }

    [Theory]
    [InlineData("either texts or --input")]
    [InlineData("--pair does not go with --input", "--input", "a", "--pair", "b")]
    [InlineData("--stride needs --max-length", "a", "--stride", "2")]
    [InlineData("--pad-to-multiple-of needs --padding", "a", "--pad-to-multiple-of", "8")]
    [InlineData("--padding must be longest or max_length", "a", "--padding", "all")]
    public void Wrong_usage_is_refused(string words, params string[] arguments) => Command.Fails(2, words, ["tokenize", .. arguments]);
}
