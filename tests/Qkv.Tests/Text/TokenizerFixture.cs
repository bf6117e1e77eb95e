using System.Text.Json;
using System.Text.Json.Nodes;
using Qkv.Text;

namespace Qkv.Tests.Text;

/// <summary>Tokenizer directories made from the golden vocabularies, in both layouts, and small ones for single questions.</summary>
internal static class TokenizerFixture
{
    public static readonly string[] Variants = ["bert-base-uncased", "bert-base-chinese", "bert-base-chinese-lower"];

    private static readonly Dictionary<string, Tokenizer> s_loaded = [];
    private static readonly Lock s_gate = new();

    public static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizer", name);

    /// <summary>The golden's rows. System.Text.Json refuses lone surrogates only when such a string is taken out.</summary>
    public static IEnumerable<JsonElement> Rows(string name) =>
        File.ReadLines(Golden(name)).Select(line => JsonDocument.Parse(line).RootElement);

    public static Tokenizer Variant(string variant, bool json = true)
    {
        lock (s_gate)
        {
            string key = $"{variant} {json}";
            if (!s_loaded.TryGetValue(key, out Tokenizer? tokenizer))
            {
                string vocabulary = Golden((variant == "bert-base-uncased" ? variant : "bert-base-chinese") + ".vocab.txt");
                bool lowercase = variant != "bert-base-chinese";
                s_loaded[key] = tokenizer = json ? FromJson(Bert(File.ReadAllLines(vocabulary), lowercase)) : FromFiles(
                    ("vocab.txt", File.ReadAllText(vocabulary)), ("tokenizer_config.json", $$"""{"do_lower_case": {{(lowercase ? "true" : "false")}}, "model_max_length": 512}"""));
            }
            return tokenizer;
        }
    }

    public static Tokenizer FromJson(JsonNode json) => FromFiles(("tokenizer.json", json.ToJsonString()));

    public static Tokenizer FromFiles(params (string Name, string Text)[] files) =>
        FromBytes([.. files.Select(file => (file.Name, System.Text.Encoding.UTF8.GetBytes(file.Text)))]);

    public static Tokenizer FromBytes(params (string Name, byte[] Bytes)[] files)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("qkv-tokenizer-");
        try
        {
            foreach ((string name, byte[] bytes) in files)
            {
                File.WriteAllBytes(Path.Combine(directory.FullName, name), bytes);
            }
            return Tokenizer.Load(directory.FullName);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>A tokenizer.json like the published ones, over the given vocabulary.</summary>
    public static JsonObject Bert(string[] vocabulary, bool lowercase = true)
    {
        var ids = new JsonObject();
        for (int id = 0; id < vocabulary.Length; id++)
        {
            ids[vocabulary[id]] = id;
        }
        JsonObject Special(string token) => new() { ["id"] = token, ["ids"] = new JsonArray(ids[token]!.DeepClone()), ["tokens"] = new JsonArray(token) };
        JsonObject Piece(string kind, string id, int typeId) => new() { [kind] = new JsonObject { ["id"] = id, ["type_id"] = typeId } };
        string[] special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. special.Where(ids.ContainsKey).Select(token => new JsonObject
            {
                ["id"] = ids[token]!.DeepClone(),
                ["content"] = token,
                ["single_word"] = false,
                ["lstrip"] = false,
                ["rstrip"] = false,
                ["normalized"] = false,
                ["special"] = true,
            })]),
            ["normalizer"] = new JsonObject
            {
                ["type"] = "BertNormalizer",
                ["clean_text"] = true,
                ["handle_chinese_chars"] = true,
                ["strip_accents"] = null,
                ["lowercase"] = lowercase,
            },
            ["pre_tokenizer"] = new JsonObject { ["type"] = "BertPreTokenizer" },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "TemplateProcessing",
                ["single"] = new JsonArray(Piece("SpecialToken", "[CLS]", 0), Piece("Sequence", "A", 0), Piece("SpecialToken", "[SEP]", 0)),
                ["pair"] = new JsonArray(
                    Piece("SpecialToken", "[CLS]", 0), Piece("Sequence", "A", 0), Piece("SpecialToken", "[SEP]", 0),
                    Piece("Sequence", "B", 1), Piece("SpecialToken", "[SEP]", 1)),
                ["special_tokens"] = new JsonObject { ["[CLS]"] = Special("[CLS]"), ["[SEP]"] = Special("[SEP]") },
            },
            ["decoder"] = new JsonObject { ["type"] = "WordPiece", ["prefix"] = "##", ["cleanup"] = true },
            ["model"] = new JsonObject
            {
                ["type"] = "WordPiece",
                ["unk_token"] = "[UNK]",
                ["continuing_subword_prefix"] = "##",
                ["max_input_chars_per_word"] = 100,
                ["vocab"] = ids,
            },
        };
    }

    /// <summary>The same over a vocabulary of a few dozen tokens.</summary>
    public static JsonObject Small() => Bert(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", .. "abcdefgh0123456789.,!中文我".Select(c => c.ToString()), "##a", "##b", "##c", "ab", "##bc", "##def", "don", "'", "t"]);
}
