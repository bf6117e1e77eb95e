using System.Text.Json;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>
/// How a directory says that texts become vectors: sentence-transformers' <c>modules.json</c>, pooling, normalisation, longest
/// text and prompts. Both layouts are read, the one before version 5.4 and the one since. What would change the vectors and is
/// not supported is refused: never a silently wrong vector.
/// </summary>
internal sealed record EmbeddingRecipe
{
    /// <summary>Whether the directory has sentence-transformers files at all.</summary>
    public bool IsSentenceTransformer { get; private init; }

    public Pooling Pooling { get; private init; } = Pooling.Mean;

    /// <summary>Whether vectors are brought to unit length.</summary>
    public bool Normalize { get; private init; }

    /// <summary>The longest text in tokens, or null where nothing is said.</summary>
    public int? MaxTokens { get; private init; }

    /// <summary>Whether texts are lower-cased before they are tokenized.</summary>
    public bool LowerCase { get; private init; }

    /// <summary>Named texts that are put before a text, as <c>query</c> → <c>"query: "</c>.</summary>
    public IReadOnlyDictionary<string, string> Prompts { get; private init; } = new Dictionary<string, string>();

    /// <summary>The prompt that is used when none is named, or null.</summary>
    public string? DefaultPrompt { get; private init; }

    /// <exception cref="InvalidDataException">A file is damaged or asks for something that is not supported.</exception>
    public static EmbeddingRecipe Load(string directory)
    {
        string modules = Path.Combine(directory, "modules.json");
        if (!File.Exists(modules)) return new EmbeddingRecipe();
        var recipe = new EmbeddingRecipe { IsSentenceTransformer = true };
        using JsonDocument document = TextFile.ReadJson(modules);
        foreach (JsonField module in new JsonField(document.RootElement, modules, "").Elements())
        {
            string type = module["type"].String(), folder = module["path"].String("");
            if (folder.Length > 0 && (Path.IsPathRooted(folder) || folder.Split('/', '\\').Contains("..")))
                throw module["path"].Wrong("a folder inside the model directory");
            recipe = type[(type.LastIndexOf('.') + 1)..] switch
            {
                "Transformer" => recipe,
                "Pooling" => ReadPooling(recipe, Path.Combine(directory, folder, "config.json")),
                "Normalize" => recipe with { Normalize = true },
                _ => throw module["type"].Wrong("Transformer, Pooling or Normalize (the modules that are supported)"),
            };
        }
        return ReadPrompts(ReadLength(recipe, directory), directory);
    }

    /// <summary>
    /// Writes the files of a model whose vectors have unit length, in the layout before version 5.4, which every version reads. Prompts
    /// that the directory has stay.
    /// </summary>
    /// <param name="directory">A directory with a config.json.</param>
    /// <param name="pooling">How hidden states become one vector.</param>
    /// <param name="features">C</param>
    /// <param name="maxTokens">The longest text in tokens.</param>
    public static void Write(string directory, Pooling pooling, int features, int maxTokens)
    {
        static string Flag(bool value) => value ? "true" : "false";
        const string folder = "1_Pooling";
        Directory.CreateDirectory(Path.Combine(directory, folder));
        Directory.CreateDirectory(Path.Combine(directory, "2_Normalize"));
        File.WriteAllText(Path.Combine(directory, "modules.json"), """
            [
              {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
              {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
              {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
            ]

            """);
        File.WriteAllText(Path.Combine(directory, folder, "config.json"), $$"""
            {
              "word_embedding_dimension": {{features}},
              "pooling_mode_cls_token": {{Flag(pooling == Pooling.Cls)}},
              "pooling_mode_mean_tokens": {{Flag(pooling == Pooling.Mean)}},
              "pooling_mode_max_tokens": {{Flag(pooling == Pooling.Max)}},
              "pooling_mode_mean_sqrt_len_tokens": false
            }

            """);
        File.WriteAllText(Path.Combine(directory, "sentence_bert_config.json"), $$"""
            {
              "max_seq_length": {{maxTokens}},
              "do_lower_case": false
            }

            """);
        string prompts = Path.Combine(directory, "config_sentence_transformers.json");
        if (!File.Exists(prompts)) File.WriteAllText(prompts, """
            {
              "prompts": {},
              "default_prompt_name": null,
              "similarity_fn_name": "cosine"
            }

            """);
    }

    private static EmbeddingRecipe ReadPooling(EmbeddingRecipe recipe, string path)
    {
        using JsonDocument document = TextFile.ReadObject(path);
        var root = new JsonField(document.RootElement, path, "");
        if (root["include_prompt"].Boolean(true) == false) throw root["include_prompt"].Wrong("true (pooling that leaves the prompt out is not supported)");
        JsonField mode = root["pooling_mode"];
        List<string> modes = [];
        if (mode.Element.ValueKind == JsonValueKind.Array) modes.AddRange(mode.Elements().Select(element => element.String()));
        else if (!mode.IsNull) modes.Add(mode.String());
        const string prefix = "pooling_mode_";
        foreach ((string name, JsonField value) in root.Members())
            if (name.StartsWith(prefix, StringComparison.Ordinal) && value.Boolean(false)) modes.Add(name[prefix.Length..]);
        if (modes.Count != 1) throw new InvalidDataException($"{path}: expected exactly one pooling mode, found {(modes.Count == 0 ? "none" : string.Join(", ", modes))}.");
        return recipe with
        {
            Pooling = modes[0] switch
            {
                "mean" or "mean_tokens" => Pooling.Mean,
                "cls" or "cls_token" => Pooling.Cls,
                "max" or "max_tokens" => Pooling.Max,
                string other => throw mode.Wrong($"mean, cls or max, which are supported ('{other}' is not)"),
            },
        };
    }

    private static EmbeddingRecipe ReadLength(EmbeddingRecipe recipe, string directory)
    {
        string path = Path.Combine(directory, "sentence_bert_config.json");
        if (!File.Exists(path)) return recipe;
        using JsonDocument document = TextFile.ReadObject(path);
        var root = new JsonField(document.RootElement, path, "");
        JsonField length = root["max_seq_length"];
        return recipe with { MaxTokens = length.IsNull ? null : length.Integer(1), LowerCase = root["do_lower_case"].Boolean(false) };
    }

    private static EmbeddingRecipe ReadPrompts(EmbeddingRecipe recipe, string directory)
    {
        string path = Path.Combine(directory, "config_sentence_transformers.json");
        if (!File.Exists(path)) return recipe;
        using JsonDocument document = TextFile.ReadObject(path);
        var root = new JsonField(document.RootElement, path, "");
        var prompts = new Dictionary<string, string>();
        if (!root["prompts"].IsNull)
            foreach ((string name, JsonField value) in root["prompts"].Members()) prompts[name] = value.String("");
        JsonField standard = root["default_prompt_name"];
        string? defaultPrompt = standard.IsNull ? null
            : prompts.TryGetValue(standard.String(), out string? prompt) ? prompt
            : throw standard.Wrong($"one of the prompts ({string.Join(", ", prompts.Keys)})");
        return recipe with { Prompts = prompts, DefaultPrompt = string.IsNullOrEmpty(defaultPrompt) ? null : defaultPrompt };
    }
}
