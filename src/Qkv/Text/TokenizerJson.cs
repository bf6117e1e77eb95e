using System.Text.Json;

namespace Qkv.Text;

/// <summary>
/// Reads <c>tokenizer.json</c> as huggingface/tokenizers writes it. What is not the BERT kind is refused by name.
/// </summary>
internal static class TokenizerJson
{
    public const string FileName = "tokenizer.json";

    /// <exception cref="InvalidDataException">The file is broken or of another kind.</exception>
    public static TokenizerParts Read(string path, TokenizerDefaults defaults)
    {
        using JsonDocument document = TextFile.ReadObject(path);
        var root = new JsonField(document.RootElement, path, "");
        JsonField model = root["model"];
        ExpectWordPiece(model);
        ExpectType(root["pre_tokenizer"], "BertPreTokenizer");

        var entries = new List<KeyValuePair<string, long>>();
        var modelTokens = new HashSet<string>(StringComparer.Ordinal);
        foreach ((string token, JsonField id) in model["vocab"].Members())
        {
            entries.Add(new(token, id.Integer(int.MinValue)));
            modelTokens.Add(token);
        }
        IReadOnlyList<AddedToken> added = ReadAdded(root["added_tokens"], entries, modelTokens);
        var vocabulary = new Vocabulary(entries, path);
        string unknown = model["unk_token"].String("[UNK]");
        if (!vocabulary.TryGet(unknown, out _))
        {
            throw new InvalidDataException($"{path}: model.vocab has no unknown token {Vocabulary.Quote(unknown)}.");
        }
        (EncodeOptions stored, PadToken pad) = ReadStored(root, vocabulary);
        return new TokenizerParts
        {
            Vocabulary = vocabulary,
            IsModelToken = modelTokens.Contains,
            Normalizer = ReadNormalizer(root["normalizer"]),
            Template = TemplateJson.Read(root["post_processor"], vocabulary),
            Added = added,
            Decoder = ReadDecoder(root["decoder"]),
            Pad = pad,
            UnknownToken = unknown,
            ContinuationPrefix = model["continuing_subword_prefix"].String("##"),
            LongestWord = model["max_input_chars_per_word"] is { IsNull: false } most ? most.Integer() : 100,
            // What the configuration does not say, transformers takes from here.
            Defaults = defaults with { TruncationSide = defaults.TruncationSide ?? stored.TruncationSide, PadSide = defaults.PadSide ?? stored.PadSide },
            StoredOptions = stored,
        };
    }

    /// <summary>Refuses a component of another type, by name.</summary>
    public static void ExpectType(JsonField component, string supported)
    {
        string type = component.IsNull ? "null" : component["type"].String("without a type");
        if (type != supported)
        {
            throw new InvalidDataException(
                $"{component.File}: {component.Path} is {type}, which is not supported; supported is {supported}.");
        }
    }

    /// <summary>
    /// Files before tokenizers 0.10 may lack the model's type; only WordPiece has a continuing_subword_prefix and no merges.
    /// </summary>
    private static void ExpectWordPiece(JsonField model)
    {
        bool untyped = !model.IsNull && model["type"].IsNull && model["merges"].IsNull && !model["continuing_subword_prefix"].IsNull;
        if (!untyped)
        {
            ExpectType(model, "WordPiece");
        }
    }

    private static List<AddedToken> ReadAdded(JsonField list, List<KeyValuePair<string, long>> entries, HashSet<string> modelTokens)
    {
        var added = new List<AddedToken>();
        if (list.IsNull)
        {
            return added;
        }
        var modelIds = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach ((string token, long id) in entries)
        {
            modelIds[token] = id;
        }
        long next = modelTokens.Count;
        foreach (JsonField item in list.Elements())
        {
            string content = item["content"].String();
            int id = item["id"].Integer();
            bool special = item["special"].Boolean(false);
            if (!modelTokens.Contains(content))
            {
                // huggingface/tokenizers does not look at these ids: it counts on.
                if (id != next)
                {
                    throw new InvalidDataException($"{item.File}: {item.Path} gives {Vocabulary.Quote(content)} the id {id}, but {next} comes next; "
                        + "added tokens are expected in the order of their ids, without gaps behind the vocabulary.");
                }
                entries.Add(new(content, id));
            }
            else if (modelIds[content] != id)
            {
                throw new InvalidDataException($"{item.File}: {item.Path} gives {Vocabulary.Quote(content)} the id {id}, "
                    + $"model.vocab gives it {modelIds[content]}.");
            }
            next = Math.Max(next, id + 1L);
            added.Add(AddedToken.Read(item, id, special));
        }
        return added;
    }

    private static NormalizerOptions ReadNormalizer(JsonField normalizer)
    {
        if (normalizer.IsNull)
        {
            return new(CleanText: false, HandleChineseCharacters: false, StripAccents: false, Lowercase: false);
        }
        ExpectType(normalizer, "BertNormalizer");
        return new(
            normalizer["clean_text"].Boolean(true), normalizer["handle_chinese_chars"].Boolean(true),
            normalizer["strip_accents"].Boolean(), normalizer["lowercase"].Boolean(true));
    }

    private static WordPieceDecoder ReadDecoder(JsonField decoder)
    {
        if (decoder.IsNull)
        {
            return new(null, false);
        }
        ExpectType(decoder, "WordPiece");
        return new(decoder["prefix"].String("##"), decoder["cleanup"].Boolean(true));
    }

    private static (EncodeOptions Options, PadToken Pad) ReadStored(JsonField root, Vocabulary vocabulary)
    {
        var options = new EncodeOptions();
        if (root["truncation"] is { IsNull: false } truncation)
        {
            options = options with
            {
                MaxLength = truncation["max_length"].Integer(),
                Stride = truncation["stride"] is { IsNull: false } stride ? stride.Integer() : 0,
                Truncation = Choice(truncation["strategy"], TruncationStrategy.LongestFirst),
                TruncationSide = Choice(truncation["direction"], Side.Right),
            };
        }
        var pad = new PadToken(vocabulary.TryGet("[PAD]", out int id) ? id : 0, "[PAD]", 0);
        if (root["padding"] is { IsNull: false } padding)
        {
            bool isFixed = padding["strategy"].Element.ValueKind == JsonValueKind.Object;
            options = options with
            {
                Padding = isFixed ? Padding.MaxLength : Padding.Longest,
                PadTo = isFixed ? padding["strategy"]["Fixed"].Integer() : null,
                PadToMultipleOf = padding["pad_to_multiple_of"] is { IsNull: false } multiple ? multiple.Integer() : null,
                PadSide = Choice(padding["direction"], Side.Right),
            };
            pad = new PadToken(
                padding["pad_id"] is { IsNull: false } padId ? padId.Integer() : pad.Id, padding["pad_token"].String(pad.Token),
                padding["pad_type_id"] is { IsNull: false } typeId ? typeId.Integer() : 0);
        }
        return (options, pad);
    }

    private static T Choice<T>(JsonField name, T absent) where T : struct, Enum =>
        name.IsNull ? absent
        : Enum.TryParse(name.String(), out T value) && Enum.GetName(value) == name.String() ? value
        : throw name.Wrong($"one of {string.Join(", ", Enum.GetNames<T>())}");
}
