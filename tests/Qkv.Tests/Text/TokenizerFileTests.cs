using System.Text.Json.Nodes;
using Qkv.Text;

namespace Qkv.Tests.Text;

/// <summary>What tokenizer files may say, and one bad file for everything that is refused.</summary>
public class TokenizerFileTests
{
    private const string Vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\n##c\n中\n";

    /// <summary>A change to a good tokenizer.json, and words the error must have.</summary>
    private static readonly Dictionary<string, (Action<JsonObject> Break, string Word)> s_broken = new()
    {
        ["BPE"] = (json => json["model"]!["type"] = "BPE", "BPE"),
        ["Unigram"] = (json => json["model"] = JsonNode.Parse("""{"type":"Unigram","vocab":[["a",0.5]]}"""), "Unigram"),
        ["untyped BPE"] = (json => json["model"] = JsonNode.Parse("""{"vocab":{},"merges":[]}"""), "model"),
        ["no model"] = (json => json.Remove("model"), "model"),
        ["model a string"] = (json => json["model"] = "WordPiece", "an object"),
        ["vocab an array"] = (json => json["model"]!["vocab"] = new JsonArray(), "model.vocab"),
        ["id a string"] = (json => json["model"]!["vocab"]!["a"] = "5", "model.vocab.a"),
        ["id a fraction"] = (json => json["model"]!["vocab"]!["a"] = 5.5, "5.5"),
        ["id negative"] = (json => json["model"]!["vocab"]!["a"] = -1, "-1"),
        ["id too large"] = (json => json["model"]!["vocab"]!["a"] = int.MaxValue, "2147483647"),
        ["id past an int"] = (json => json["model"]!["vocab"]!["a"] = 1e30, "model.vocab.a"),
        ["id twice"] = (json => json["model"]!["vocab"]!["a"] = 6, "id 6"),
        ["id far behind"] = (json => json["model"]!["vocab"]!["a"] = 70_000, "70000"),
        ["no unknown token"] = (json => json["model"]!["unk_token"] = "[OOV]", "[OOV]"),
        ["negative word length"] = (json => json["model"]!["max_input_chars_per_word"] = -1, "max_input_chars_per_word"),
        ["other normalizer"] = (json => json["normalizer"]!["type"] = "Precompiled", "Precompiled"),
        ["lowercase a number"] = (json => json["normalizer"]!["lowercase"] = 1, "normalizer.lowercase"),
        ["other pre-tokenizer"] = (json => json["pre_tokenizer"]!["type"] = "ByteLevel", "ByteLevel"),
        ["no pre-tokenizer"] = (json => json["pre_tokenizer"] = null, "pre_tokenizer"),
        ["other post-processor"] = (json => json["post_processor"]!["type"] = "ByteLevel", "ByteLevel"),
        ["other decoder"] = (json => json["decoder"]!["type"] = "CTC", "CTC"),
        ["template without sequence"] = (json => json["post_processor"]!["single"] = new JsonArray(), "sequence A"),
        ["template of many pieces"] = (json => json["post_processor"]!["single"] = new JsonArray([.. Enumerable.Repeat(0, 65).Select(_ => json["post_processor"]!["single"]![0]!.DeepClone())]), "at most 64 pieces"),
        ["template with B alone"] = (json => json["post_processor"]!["single"]![1]!["Sequence"]!["id"] = "B", "post_processor.single[1]"),
        ["template with unknown token"] = (json => json["post_processor"]!["pair"]![0]!["SpecialToken"]!["id"] = "[X]", "[X]"),
        ["template id past the vocabulary"] = (json => json["post_processor"]!["special_tokens"]!["[CLS]"]!["ids"]![0] = 4000, "4000"),
        ["template with too few tokens"] = (json => json["post_processor"]!["special_tokens"]!["[CLS]"]!["tokens"] = new JsonArray(), "tokens"),
        ["BertProcessing without sep"] = (json => json["post_processor"] = JsonNode.Parse("""{"type":"BertProcessing","cls":["[CLS]",2]}"""), "sep"),
        ["added tokens an object"] = (json => json["added_tokens"] = new JsonObject(), "added_tokens"),
        ["added token without content"] = (json => json["added_tokens"]![0]!.AsObject().Remove("content"), "content"),
        ["added token of another id"] = (json => json["added_tokens"]![0]!["id"] = 7, "[PAD]"),
        ["added tokens in another order"] = (json =>
        {
            int next = json["model"]!["vocab"]!.AsObject().Count;
            foreach (int id in (int[])[next + 1, next]) json["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = id, ["content"] = $"<{id}>" });
        }, "comes next"),
        ["template id without a token"] = (json =>
        {
            json["post_processor"]!["special_tokens"]!["[CLS]"]!["ids"]![0] = json["model"]!["vocab"]!["a"]!.DeepClone();
            json["model"]!["vocab"]!.AsObject().Remove("a");
        }, "that has a token"),
        ["added token far behind"] = (json => (json["added_tokens"]![0]!["id"], json["added_tokens"]![0]!["content"]) = (9999, "<x>"), "9999"),
        ["truncation without length"] = (json => json["truncation"] = new JsonObject(), "max_length"),
        ["truncation of another kind"] = (json => json["truncation"] = JsonNode.Parse("""{"max_length":5,"strategy":"Middle"}"""), "Middle"),
        ["padding of another side"] = (json => json["padding"] = JsonNode.Parse("""{"strategy":"BatchLongest","direction":"Up"}"""), "Up"),
    };

    public static TheoryData<string> Broken => [.. s_broken.Keys];

    [Theory, MemberData(nameof(Broken))]
    public void A_broken_tokenizer_json_is_refused_by_name(string what)
    {
        JsonObject json = TokenizerFixture.Small();
        s_broken[what].Break(json);
        var error = Assert.Throws<InvalidDataException>(() => TokenizerFixture.FromJson(json));
        Assert.Contains("tokenizer.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(s_broken[what].Word, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"model\":")]
    [InlineData("{} {}")]
    [InlineData("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"\\ud800\":0}},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}}")]
    [InlineData("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"[UNK]\":1}},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}}")]
    public void A_malformed_tokenizer_json_is_refused(string text)
    {
        var error = Assert.Throws<InvalidDataException>(() => TokenizerFixture.FromFiles(("tokenizer.json", text)));
        Assert.Contains("tokenizer.json", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_nesting_is_refused() =>
        A_malformed_tokenizer_json_is_refused(string.Concat(Enumerable.Repeat("{\"a\":", 100_000)));

    [Theory]
    [InlineData("[PAD]\n[CLS]\n[SEP]\n", "{}", "[UNK]")]
    [InlineData("[UNK]\n[SEP]\n", "{}", "[CLS]")]
    [InlineData("", "{}", "empty")]
    [InlineData(Vocabulary, """{"tokenizer_class":"RobertaTokenizer"}""", "RobertaTokenizer")]
    [InlineData(Vocabulary, """{"do_basic_tokenize":false}""", "do_basic_tokenize")]
    [InlineData(Vocabulary, """{"model_max_length":"long"}""", "model_max_length")]
    [InlineData(Vocabulary, """{"do_lower_case":"yes"}""", "do_lower_case")]
    [InlineData(Vocabulary, """{"cls_token":7}""", "cls_token")]
    [InlineData(Vocabulary, """{"added_tokens_decoder":{"x":{"content":"<x>"}}}""", "added_tokens_decoder")]
    [InlineData(Vocabulary, """{"added_tokens_decoder":{"3":{"content":"<x>"}}}""", "<x>")]
    [InlineData(Vocabulary, """{"added_tokens_decoder":{"99":{"content":"<x>"}}}""", "99")]
    [InlineData(Vocabulary, """{"added_tokens_decoder":{"5":{"content":"<x>"},"05":{"content":"<y>"}}}""", "id 5 is given twice, to \"<x>\" and to \"<y>\"")]
    [InlineData(Vocabulary, "[", "not valid JSON")]
    public void A_broken_vocabulary_directory_is_refused(string vocabulary, string configuration, string word)
    {
        var error = Assert.Throws<InvalidDataException>(
            () => TokenizerFixture.FromFiles(("vocab.txt", vocabulary), ("tokenizer_config.json", configuration)));
        Assert.Contains(word, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vocabulary_that_is_not_UTF8_is_refused()
    {
        var error = Assert.Throws<InvalidDataException>(() => TokenizerFixture.FromBytes(("vocab.txt", [0x61, 0x0A, 0xFF, 0x0A])));
        Assert.Contains("offset 2", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_without_a_tokenizer_says_what_was_expected()
    {
        var error = Assert.Throws<FileNotFoundException>(() => TokenizerFixture.FromFiles());
        Assert.Contains("vocab.txt", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("null", null)]
    [InlineData("1000000000000000019884624838656", null)]
    [InlineData("1e30", null)]
    [InlineData("512", 512)]
    [InlineData("512.0", 512)]
    public void Model_max_length_may_be_missing_or_without_end(string value, int? expected)
    {
        string configuration = $$"""{"model_max_length": {{value}}}""";
        Assert.Equal(expected, TokenizerFixture.FromFiles(("vocab.txt", Vocabulary), ("tokenizer_config.json", configuration)).ModelMaxLength);
        Assert.Equal(expected, TokenizerFixture.FromFiles(
            ("tokenizer.json", TokenizerFixture.Small().ToJsonString()), ("tokenizer_config.json", configuration)).ModelMaxLength);
    }

    /// <summary>As in transformers: the configuration, then what tokenizer.json has stored, then right.</summary>
    [Theory]
    [InlineData("{}", "Right", "Right")]
    [InlineData("""{"truncation_side": "left"}""", "Left", "Right")]
    [InlineData("""{"truncation_side": "right", "padding_side": "left"}""", "Right", "Left")]
    public void Sides_are_those_of_the_configuration(string configuration, string truncation, string padding)
    {
        foreach ((string Name, string Text) tokenizer in ((string, string)[])[("vocab.txt", Vocabulary), ("tokenizer.json", TokenizerFixture.Small().ToJsonString())])
        {
            Tokenizer read = TokenizerFixture.FromFiles(tokenizer, ("tokenizer_config.json", configuration));
            Assert.Equal((truncation, padding), (read.TruncationSide.ToString(), read.PadSide.ToString()));
        }
        JsonObject stored = TokenizerFixture.Small();
        stored["truncation"] = JsonNode.Parse("""{"max_length": 8, "stride": 0, "strategy": "LongestFirst", "direction": "Left"}""");
        string expected = configuration.Contains("truncation_side") ? truncation : "Left";
        Assert.Equal(expected, TokenizerFixture.FromFiles(("tokenizer.json", stored.ToJsonString()), ("tokenizer_config.json", configuration)).TruncationSide.ToString());
        Assert.Throws<InvalidDataException>(() => TokenizerFixture.FromFiles(("vocab.txt", Vocabulary), ("tokenizer_config.json", """{"truncation_side": "up"}""")));
    }

    [Fact]
    public void Settings_beside_the_vocabulary_are_followed()
    {
        Tokenizer tokenizer = TokenizerFixture.FromFiles(
            ("vocab.txt", "\uFEFF[pad]\r\n<unk>\r\n<s>\r\n</s>\r\nAb\r\n##c\r\n"),
            ("tokenizer_config.json", """{"do_lower_case":false,"cls_token":"<s>","added_tokens_decoder":{"6":{"content":"<x>","lstrip":true,"special":true}}}"""),
            ("special_tokens_map.json", """{"unk_token":"<unk>","sep_token":{"content":"</s>"},"pad_token":"[pad]","mask_token":"<mask>"}"""));
        Encoding encoding = tokenizer.Encode("Abc ab <x></s>", options: new() { Padding = Padding.MaxLength, PadTo = 9 });
        Assert.Equal(["<s>", "Ab", "##c", "<unk>", " <x>", "</s>", "</s>", "[pad]", "[pad]"], encoding.Tokens);
        Assert.Equal([2, 4, 5, 1, 6, 3, 3, 0, 0], encoding.Ids);
        Assert.Equal("Abc", tokenizer.Decode(encoding.Ids.AsSpan()));
        Assert.Null(tokenizer.MaskId);
    }

    [Fact]
    public void Added_tokens_come_in_any_order_and_the_older_file_is_not_read_beside_the_newer_form()
    {
        int next = TokenizerFixture.FromFiles(("vocab.txt", Vocabulary)).Vocabulary.Count;
        Tokenizer Read(string file, string configuration = "{}") => TokenizerFixture.FromFiles(("vocab.txt", Vocabulary), ("added_tokens.json", file), ("tokenizer_config.json", configuration));
        Tokenizer tokenizer = Read($$"""{"<y>":{{next + 1}},"<x>":{{next}}}""");
        Assert.Equal([next, next + 1], tokenizer.Encode("<x><y>", options: new() { AddSpecialTokens = false }).Ids);
        Assert.Contains($"id {next} is given twice", Assert.Throws<InvalidDataException>(() => Read($$"""{"<x>":{{next}},"<y>":{{next + 1}},"<z>":{{next}}}""")).Message);
        Assert.Equal(next + 1, Read("no JSON", "{\"added_tokens_decoder\":{\"" + next + "\":{\"content\":\"<x>\"}}}").Vocabulary.Count);
    }

    [Fact]
    public void An_id_may_have_no_token()
    {
        JsonObject json = TokenizerFixture.Small();
        Tokenizer whole = TokenizerFixture.FromJson(json);
        int gap = whole.Vocabulary.IdOf("a");
        json["model"]!["vocab"]!.AsObject().Remove("a");
        Tokenizer tokenizer = TokenizerFixture.FromJson(json);
        Assert.Equal(whole.Vocabulary.Count, tokenizer.Vocabulary.Count);
        Assert.False(tokenizer.Vocabulary.TryGet(gap, out _));
        Assert.False(tokenizer.Vocabulary.TryGet("a", out _));
        Assert.Contains("that has a token", Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.Vocabulary.TokenOf(gap)).Message);
        Assert.Equal([whole.UnknownId, whole.Vocabulary.IdOf("b")], tokenizer.Encode("a b", options: new() { AddSpecialTokens = false }).Ids);
        Assert.Equal("b", tokenizer.Decode([gap, whole.Vocabulary.IdOf("b")]));
    }

    [Fact]
    public void Without_pieces_that_continue_a_word_nothing_continues_one()
    {
        JsonObject json = TokenizerFixture.Bert(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "ab"]);
        json["normalizer"]!["clean_text"] = false;
        Tokenizer tokenizer = TokenizerFixture.FromJson(json);
        Assert.Equal([1, 5, 1, 1], tokenizer.Encode("a\0 a ab\0 aa", options: new() { AddSpecialTokens = false }).Ids);
    }

    [Theory]
    [InlineData("a <r>  <l> b", new[] { "a", "<r>  ", "<l>", "b" })] // <r> has taken the white space that <l> would
    [InlineData("a <r> <s> b", new[] { "a", "<r> ", "<s>", "b" })]
    [InlineData("a <r>   b", new[] { "a", "<r>   ", "b" })] // also all of the white space that is a token itself
    [InlineData("a     b", new[] { "a", "     ", "b" })]
    [InlineData("a <l><r> b", new[] { "a", " <l>", "<r> ", "b" })]
    public void White_space_is_taken_once(string text, string[] tokens)
    {
        JsonObject json = TokenizerFixture.Small();
        int next = json["model"]!["vocab"]!.AsObject().Count;
        foreach ((string content, bool left, bool right) in ((string, bool, bool)[])[("<r>", false, true), ("<l>", true, false), (" <s>", true, false), ("  ", true, true)])
            json["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = next++, ["content"] = content, ["lstrip"] = left, ["rstrip"] = right, ["normalized"] = false });
        Assert.Equal(tokens, TokenizerFixture.FromJson(json).Encode(text, options: new() { AddSpecialTokens = false }).Tokens);
    }

    [Fact]
    public void A_special_token_beside_the_vocabulary_may_say_how_it_is_looked_for()
    {
        const string mask = """{"__type":"AddedToken","content":"[MASK]","lstrip":true,"rstrip":false,"normalized":false,"single_word":false}""";
        const string plain = "\"[MASK]\"";
        Assert.Equal(["a", " [MASK]", "b"], Read(mask, null));
        Assert.Equal(["a", " [MASK]", "b"], Read(null, mask));
        Assert.Equal(["a", " [MASK]", "b"], Read(plain, mask)); // the map has the last word
        Assert.Equal(["a", "[MASK]", "b"], Read(mask, plain));
        Assert.Equal(["a", " [MASK]", "b"], Read(mask, plain, "\"added_tokens_decoder\":{},")); // but not beside the newer form

        static string[] Read(string? configured, string? mapped, string decoder = "") => [.. TokenizerFixture.FromFiles(
            ("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n"),
            ("tokenizer_config.json", configured == null ? "{}" : "{" + decoder + "\"mask_token\":" + configured + "}"),
            ("special_tokens_map.json", mapped == null ? "{}" : "{\"mask_token\":" + mapped + "}")).Encode("a [MASK] b", options: new() { AddSpecialTokens = false }).Tokens];
    }

    [Fact]
    public void A_special_token_of_the_older_file_is_looked_for_as_it_is_written()
    {
        int next = TokenizerFixture.FromFiles(("vocab.txt", Vocabulary)).Vocabulary.Count;
        Tokenizer tokenizer = TokenizerFixture.FromFiles(("vocab.txt", Vocabulary), ("added_tokens.json", "{\"<NEW>\":" + next + "}"), ("tokenizer_config.json", """{"additional_special_tokens":["<NEW>"]}"""));
        Assert.Contains(next, tokenizer.Encode("<NEW>").Ids);
        Assert.DoesNotContain(next, tokenizer.Encode("<new>").Ids);
    }

    [Fact]
    public void A_line_that_comes_again_leaves_its_first_id_without_a_token()
    {
        Tokenizer tokenizer = TokenizerFixture.FromFiles(("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\n"));
        Assert.Equal((8, 7), (tokenizer.Vocabulary.Count, tokenizer.Vocabulary.IdOf("a")));
        Assert.False(tokenizer.Vocabulary.TryGet(5, out _));
        Assert.Equal("b a", tokenizer.Decode([5, 6, 7]));
    }

    [Theory]
    [InlineData("<AB>", "<Ab>")]
    [InlineData("<Ab>", "<AB>")]
    public void Of_added_tokens_that_look_the_same_normalized_the_first_is_found(string first, string second)
    {
        int next = TokenizerFixture.FromFiles(("vocab.txt", Vocabulary)).Vocabulary.Count;
        Tokenizer tokenizer = TokenizerFixture.FromFiles(("vocab.txt", Vocabulary), ("tokenizer_config.json",
            "{\"added_tokens_decoder\":{" + Added(next, first, special: false) + "," + Added(next + 1, second, special: true) + "}}"));
        Assert.Equal([next, next], tokenizer.Encode("<ab><aB>", options: new() { AddSpecialTokens = false }).Ids);

        static string Added(int id, string content, bool special) => $$"""
            "{{id}}":{"content":"{{content}}","normalized":true,"special":{{(special ? "true" : "false")}}}
            """;
    }

    [Fact]
    public void Tokenizer_json_wins_over_the_vocabulary()
    {
        Tokenizer tokenizer = TokenizerFixture.FromFiles(("tokenizer.json", TokenizerFixture.Small().ToJsonString()), ("vocab.txt", Vocabulary));
        Assert.Equal(TokenizerFixture.FromJson(TokenizerFixture.Small()).Vocabulary.Count, tokenizer.Vocabulary.Count);
    }

    [Fact]
    public void Stored_truncation_and_padding_are_read_but_not_applied()
    {
        JsonObject json = TokenizerFixture.Small();
        json["truncation"] = JsonNode.Parse("""{"direction":"Left","max_length":4,"strategy":"OnlyFirst","stride":1}""");
        json["padding"] = JsonNode.Parse("""{"strategy":{"Fixed":6},"direction":"Left","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":1,"pad_token":"[PAD]"}""");
        Tokenizer tokenizer = TokenizerFixture.FromJson(json);
        Assert.Equal(5, tokenizer.Encode("a b c").Length);
        Encoding stored = tokenizer.Encode("a b c", options: tokenizer.StoredOptions);
        Assert.Equal(["[PAD]", "[PAD]", "[CLS]", "b", "c", "[SEP]"], stored.Tokens);
        Assert.Equal([1, 1, 0, 0, 0, 0], stored.TypeIds);
    }

    [Fact]
    public void Mutated_files_are_refused_or_work()
    {
        var random = new Random(20260101);
        byte[] good = System.Text.Encoding.UTF8.GetBytes(TokenizerFixture.Small().ToJsonString());
        int refused = 0, loaded = 0;
        for (int round = 0; round < 1500; round++)
        {
            byte[] bytes = Mutate([.. good], random);
            try
            {
                Tokenizer tokenizer = TokenizerFixture.FromBytes(("tokenizer.json", bytes));
                Encoding encoding = tokenizer.Encode("abc [MASK] 我 \ud800 dé", "h.");
                Assert.All(encoding.Ids, id => Assert.InRange(id, 0, tokenizer.Vocabulary.Count - 1));
                tokenizer.Decode(encoding.Ids.AsSpan());
                loaded++;
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }
        Assert.True(refused > 100 && loaded > 100, $"{refused} refused, {loaded} loaded");
    }

    private static byte[] Mutate(byte[] bytes, Random random)
    {
        for (int change = random.Next(1, 4); change > 0; change--)
        {
            int at = random.Next(bytes.Length);
            switch (random.Next(5))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(7));
                    break;
                case 2:
                    bytes = [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + random.Next(8))..], (byte)' '];
                    break;
                case 3:
                    int digit = Array.FindIndex(bytes, at, b => b is >= (byte)'0' and <= (byte)'9');
                    if (digit >= 0)
                    {
                        bytes[digit] = (byte)('0' + random.Next(10));
                    }
                    break;
                default:
                    int from = random.Next(bytes.Length), length = Math.Min(random.Next(12), bytes.Length - from);
                    bytes = [.. bytes[..at], .. bytes[from..(from + length)], .. bytes[at..]];
                    break;
            }
        }
        return bytes;
    }
}
