using System.Text.Json;

namespace Qkv.Text;

/// <summary>
/// Reads a tokenizer from <c>vocab.txt</c> and the settings beside it, as transformers' BertTokenizer does: every setting may be
/// missing and then has BERT's value.
/// </summary>
internal static class VocabularyDirectory
{
    public const string FileName = "vocab.txt";

    private const string ConfigurationName = "tokenizer_config.json";

    // Classes of transformers that read vocab.txt exactly as BertTokenizer does.
    private static readonly string[] s_classes =
    [
        "Bert", "DistilBert", "Electra", "MobileBert", "SqueezeBert", "ConvBert", "LayoutLM", "Lxmert", "RetriBert", "VisualBert",
        "PreTrained",
    ];

    /// <exception cref="InvalidDataException">The file is broken.</exception>
    public static TokenizerDefaults ReadDefaults(string directory)
    {
        using JsonDocument? document = Open(directory, ConfigurationName, out JsonField root);
        return document is null ? default : Defaults(root);
    }

    /// <exception cref="InvalidDataException">A file is broken or says something that is not supported.</exception>
    public static TokenizerParts Read(string directory)
    {
        string path = Path.Combine(directory, FileName);
        using JsonDocument? configuration = Open(directory, ConfigurationName, out JsonField settings);
        using JsonDocument? map = Open(directory, "special_tokens_map.json", out JsonField names);
        Check(settings);

        string[] lines = Vocabulary.ReadLines(path);
        var modelTokens = new HashSet<string>(lines, StringComparer.Ordinal);
        List<AddedToken> given = ReadAdded(directory, settings);
        // Beside the older files the map has the last word; the newer form knows no map.
        bool isNewer = Setting(settings, "added_tokens_decoder") is { IsNull: false };
        (JsonField stronger, JsonField weaker) = isNewer ? (settings, names) : (names, settings);
        AddedToken Special(string key, string usual) => Token(stronger, key) ?? Token(weaker, key) ?? new AddedToken(usual, 0, Special: true);
        AddedToken[] specials = [Special("unk_token", "[UNK]"), Special("cls_token", "[CLS]"), Special("sep_token", "[SEP]"), Special("pad_token", "[PAD]"), Special("mask_token", "[MASK]")];
        (string unknown, string cls, string sep, string pad, string mask) = (specials[0].Content, specials[1].Content, specials[2].Content, specials[3].Content, specials[4].Content);

        Vocabulary vocabulary = Join(path, lines, modelTokens, given);
        int Required(string token) => vocabulary.TryGet(token, out int id)
            ? id
            : throw new InvalidDataException($"{path}: the vocabulary has no token {Vocabulary.Quote(token)}, which is needed.");
        Required(unknown);
        Template template = Template.Bert((cls, Required(cls)), (sep, Required(sep)));
        var added = new AddedToken?[vocabulary.Count];
        foreach (AddedToken token in given) added[token.Id] = token;
        foreach (AddedToken special in (AddedToken[])[.. specials, .. Additional(stronger), .. Additional(weaker)])
        {
            // Settings of the token that added_tokens_decoder gives stay, but for special ones of the older file, which are not normalized; a special token the vocabulary lacks is of no use.
            if (vocabulary.TryGet(special.Content, out int id))
            {
                added[id] = added[id] is { } known ? known with { Special = true, Normalized = isNewer && known.Normalized } : special with { Id = id };
            }
        }
        return new TokenizerParts
        {
            Vocabulary = vocabulary,
            IsModelToken = modelTokens.Contains,
            Normalizer = new(
                HandleChineseCharacters: Setting(settings, "tokenize_chinese_chars")?.Boolean() ?? true,
                StripAccents: Setting(settings, "strip_accents")?.Boolean(),
                Lowercase: Setting(settings, "do_lower_case")?.Boolean() ?? true),
            Template = template,
            Added = [.. added.OfType<AddedToken>()],
            Decoder = new("##", cleanUp: true),
            Pad = new PadToken(vocabulary.TryGet(pad, out int padId) ? padId : 0, pad, 0),
            UnknownToken = unknown,
            MaskToken = mask,
            Defaults = configuration is null ? default : Defaults(settings),
        };
    }

    /// <summary>The lines, and behind them the tokens that were only added.</summary>
    private static Vocabulary Join(string path, string[] lines, HashSet<string> modelTokens, List<AddedToken> added)
    {
        var tokens = new List<string>(lines);
        foreach (AddedToken token in added)
        {
            int id = token.Id;
            if (id == tokens.Count && !modelTokens.Contains(token.Content))
            {
                tokens.Add(token.Content);
            }
            else if (id >= tokens.Count || tokens[id] != token.Content)
            {
                string found = id < tokens.Count ? Vocabulary.Quote(tokens[id]) + " there" : $"only {tokens.Count} tokens";
                throw new InvalidDataException(
                    $"{path}: the added token {Vocabulary.Quote(token.Content)} has id {id}, but the vocabulary has {found}.");
            }
        }
        return new Vocabulary([.. tokens]);
    }

    private static void Check(JsonField settings)
    {
        if (settings.File is null)
        {
            return;
        }
        if (settings["tokenizer_class"] is { IsNull: false } name)
        {
            string given = name.String();
            string family = given.EndsWith("TokenizerFast", StringComparison.Ordinal) ? given[..^13]
                : given.EndsWith("Tokenizer", StringComparison.Ordinal) ? given[..^9]
                : given;
            if (!s_classes.Contains(family))
            {
                throw new InvalidDataException($"{name.File}: {name.Path} is {Vocabulary.Quote(given)}, which is not supported with "
                    + "vocab.txt; supported are BertTokenizer and its namesakes.");
            }
        }
        if (settings["do_basic_tokenize"].Boolean(true) is false)
        {
            throw settings["do_basic_tokenize"].Wrong("true, as other word splitting is not supported");
        }
    }

    /// <summary>Added tokens in the order of their ids.</summary>
    private static List<AddedToken> ReadAdded(string directory, JsonField settings)
    {
        List<AddedToken> added = [];
        JsonField source = default;
        // The newer form says all that the older file does, which then is not even read.
        if (Setting(settings, "added_tokens_decoder") is { IsNull: false } decoder)
        {
            source = decoder;
            foreach ((string key, JsonField token) in decoder.Members())
            {
                int id = int.TryParse(key, out int value) && value >= 0 ? value : throw token.Wrong("an id as its name");
                added.Add(AddedToken.Read(token, id, token["special"].Boolean(false)));
            }
        }
        else
        {
            using JsonDocument? document = Open(directory, "added_tokens.json", out source);
            foreach ((string token, JsonField id) in document is null ? [] : source.Members()) added.Add(new AddedToken(token, id.Integer(), Normalized: true));
        }
        added.Sort(static (a, b) => a.Id.CompareTo(b.Id));
        for (int i = 1; i < added.Count; i++)
        {
            if (added[i].Id == added[i - 1].Id)
            {
                throw new InvalidDataException(
                    $"{source.File}: id {added[i].Id} is given twice, to {Vocabulary.Quote(added[i - 1].Content)} and to {Vocabulary.Quote(added[i].Content)}.");
            }
        }
        return added;
    }

    private static IEnumerable<AddedToken> Additional(JsonField root) =>
        Setting(root, "additional_special_tokens") is { IsNull: false } list ? list.Elements().Select(token => AddedToken.Read(token, id: 0, special: true)) : [];

    private static AddedToken? Token(JsonField root, string key) => Setting(root, key) is { IsNull: false } token ? AddedToken.Read(token, id: 0, special: true) : null;

    private static JsonField? Setting(JsonField root, string key) => root.File is null ? null : root[key];

    private static TokenizerDefaults Defaults(JsonField root) => new(MaxLength(root), SideOf(root["truncation_side"]), SideOf(root["padding_side"]));

    private static Side? SideOf(JsonField side) => side.IsNull ? null : side.String() switch
    {
        "left" => Side.Left,
        "right" => Side.Right,
        _ => throw side.Wrong("left or right"),
    };

    private static int? MaxLength(JsonField root)
    {
        JsonField field = root["model_max_length"];
        if (field.IsNull)
        {
            return null;
        }
        bool isLength = field.Element.ValueKind == JsonValueKind.Number && field.Element.TryGetDouble(out double length) && length >= 1;
        return !isLength ? throw field.Wrong("a number of tokens")
            : field.Element.TryGetInt32(out int value) ? value
            : field.Element.GetDouble() is var whole && whole > int.MaxValue ? null
            : (int)whole;
    }

    private static JsonDocument? Open(string directory, string name, out JsonField root)
    {
        string path = Path.Combine(directory, name);
        JsonDocument? document = File.Exists(path) ? TextFile.ReadObject(path) : null;
        root = document is null ? default : new JsonField(document.RootElement, path, "");
        return document;
    }
}
