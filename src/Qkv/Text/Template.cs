using System.Collections.Immutable;

namespace Qkv.Text;

/// <summary>A piece of a template: a sequence (0 or 1), or −1 and special tokens.</summary>
internal sealed record TemplatePiece(int Sequence, ImmutableArray<int> Ids, ImmutableArray<string> Tokens, int TypeId);

/// <summary>
/// Where the sequences and the special tokens go, for one text and for two.
/// Source: huggingface/tokenizers, TemplateProcessing and BertProcessing.
/// </summary>
internal sealed class Template(ImmutableArray<TemplatePiece> single, ImmutableArray<TemplatePiece> pair)
{
    /// <summary>The pieces for one text or two, with or without the special tokens.</summary>
    public IEnumerable<TemplatePiece> Pieces(bool isPair, bool addSpecialTokens) =>
        (isPair ? pair : single).Where(piece => addSpecialTokens || piece.Sequence >= 0);

    /// <summary>Tokens the template adds.</summary>
    public int Added(bool isPair, bool addSpecialTokens)
    {
        int added = 0;
        foreach (TemplatePiece piece in All(isPair))
        {
            added += addSpecialTokens && piece.Sequence < 0 ? piece.Ids.Length : 0;
        }
        return added;
    }

    /// <summary>All pieces, special ones included.</summary>
    public ImmutableArray<TemplatePiece> All(bool isPair) => isPair ? pair : single;

    /// <summary>Just the sequences, one after the other.</summary>
    public static Template Plain { get; } = new([Sequence(0, 0)], [Sequence(0, 0), Sequence(1, 1)]);

    /// <summary>[CLS] A [SEP] and [CLS] A [SEP] B [SEP].</summary>
    public static Template Bert((string Token, int Id) cls, (string Token, int Id) sep) => new(
        [Special(cls, 0), Sequence(0, 0), Special(sep, 0)],
        [Special(cls, 0), Sequence(0, 0), Special(sep, 0), Sequence(1, 1), Special(sep, 1)]);

    /// <summary>The piece for a text.</summary>
    public static TemplatePiece Sequence(int sequence, int typeId) => new(sequence, [], [], typeId);

    private static TemplatePiece Special((string Token, int Id) token, int typeId) => new(-1, [token.Id], [token.Token], typeId);
}
