using System.Collections.Immutable;

namespace Qkv.Text;

/// <summary>Reads the <c>post_processor</c> of a tokenizer.json: TemplateProcessing, BertProcessing, or none.</summary>
internal static class TemplateJson
{
    // Of a template, and ids of a piece: every encoding goes through all of them.
    private const int MostPieces = 64;

    public static Template Read(JsonField processor, Vocabulary vocabulary)
    {
        if (processor.IsNull)
        {
            return Template.Plain;
        }
        switch (processor["type"].String("without a type"))
        {
            case "BertProcessing":
                return Template.Bert(ReadToken(processor["cls"], vocabulary), ReadToken(processor["sep"], vocabulary));
            case "TemplateProcessing":
                var special = new Dictionary<string, (ImmutableArray<int> Ids, ImmutableArray<string> Tokens)>(StringComparer.Ordinal);
                foreach ((string name, JsonField token) in processor["special_tokens"].Members())
                {
                    special[name] = ReadSpecial(token, vocabulary);
                }
                return new Template(
                    ReadPieces(processor["single"], special, sequences: 1), ReadPieces(processor["pair"], special, sequences: 2));
            case var type:
                throw new InvalidDataException($"{processor.File}: {processor.Path} is {type}, which is not supported; "
                    + "supported are TemplateProcessing and BertProcessing.");
        }
    }

    private static (string Token, int Id) ReadToken(JsonField pair, Vocabulary vocabulary)
    {
        JsonField[] parts = [.. pair.Elements()];
        return parts.Length == 2 ? (parts[0].String(), Id(parts[1], vocabulary)) : throw pair.Wrong("a token and its id");
    }

    private static (ImmutableArray<int>, ImmutableArray<string>) ReadSpecial(JsonField token, Vocabulary vocabulary)
    {
        ImmutableArray<int> ids = [.. token["ids"].Elements().Select(id => Id(id, vocabulary))];
        if (ids.Length > MostPieces) throw token["ids"].Wrong($"at most {MostPieces} ids");
        ImmutableArray<string> tokens = [.. token["tokens"].Elements().Select(text => text.String())];
        return ids.Length == tokens.Length ? (ids, tokens) : throw token.Wrong($"as many tokens as the {ids.Length} ids");
    }

    private static int Id(JsonField id, Vocabulary vocabulary) =>
        id.Integer() is int value && vocabulary.TryGet(value, out _) ? value : throw id.Wrong($"an id below {vocabulary.Count} that has a token");

    private static ImmutableArray<TemplatePiece> ReadPieces(
        JsonField list, Dictionary<string, (ImmutableArray<int> Ids, ImmutableArray<string> Tokens)> special, int sequences)
    {
        var pieces = ImmutableArray.CreateBuilder<TemplatePiece>();
        foreach (JsonField item in list.Elements())
        {
            if (pieces.Count == MostPieces) throw list.Wrong($"at most {MostPieces} pieces");
            JsonField sequence = item["Sequence"], token = item["SpecialToken"];
            if (!sequence.IsNull)
            {
                int index = sequence["id"].String() switch { "A" => 0, "B" => 1, _ => throw sequence["id"].Wrong("A or B") };
                if (index >= sequences)
                {
                    throw sequence["id"].Wrong("A, as there is one text");
                }
                pieces.Add(Template.Sequence(index, TypeId(sequence)));
            }
            else
            {
                string id = token.IsNull ? throw item.Wrong("a Sequence or a SpecialToken") : token["id"].String();
                (ImmutableArray<int> ids, ImmutableArray<string> tokens) =
                    special.TryGetValue(id, out var found) ? found : throw token["id"].Wrong("one of special_tokens");
                pieces.Add(new TemplatePiece(-1, ids, tokens, TypeId(token)));
            }
        }
        for (int i = 0; i < sequences; i++)
        {
            if (pieces.Count(piece => piece.Sequence == i) != 1)
            {
                throw list.Wrong($"sequence {"AB"[i]} exactly once");
            }
        }
        return pieces.ToImmutable();
    }

    private static int TypeId(JsonField piece) => piece["type_id"] is { IsNull: false } typeId ? typeId.Integer() : 0;
}
