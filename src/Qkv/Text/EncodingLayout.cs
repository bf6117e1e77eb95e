using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Qkv.Text;

/// <summary>
/// Which stretch of which sequence and which special tokens make up an encoding and its overflowing windows; built into
/// <see cref="Encoding"/>s once the padded length is known. Source: huggingface/tokenizers, Encoding::merge_with and pad.
/// </summary>
internal sealed class EncodingLayout
{
    // A pair of long texts has a window for every combination; this many tokens take about a gigabyte.
    private const int MostWindows = 1 << 18;
    private const long MostTokens = 1 << 24;

    private readonly TokenizerParts _parts;
    private readonly SequenceTokens?[] _sequences;
    private readonly Side _padSide;
    private Part[] _kept = [];
    private List<Part[]> _overflowing = [];

    /// <summary>A stretch [Start, End) of a template piece.</summary>
    private sealed record Part(TemplatePiece Piece, int Start, int End)
    {
        public int Length => End - Start;
    }

    public EncodingLayout(
        TokenizerParts parts, SequenceTokens first, int keepFirst, SequenceTokens? second, int keepSecond, in EncodeOptions options)
    {
        (_parts, _padSide, _sequences) = (parts, options.PadSide, [first, second]);
        List<(int Start, int End)>[] windows =
        [
            Truncation.Windows(first.Length, keepFirst, options.Stride, options.TruncationSide),
            Truncation.Windows(second?.Length ?? 0, Math.Max(keepSecond, 0), options.Stride, options.TruncationSide),
        ];
        foreach (TemplatePiece piece in parts.Template.Pieces(second is not null, options.AddSpecialTokens))
        {
            Join(piece, piece.Sequence >= 0 ? windows[piece.Sequence] : [(0, piece.Ids.Length)]);
        }
        Length = _kept.Sum(part => part.Length);
        if (_overflowing.Sum(window => window.Sum(part => (long)part.Length)) > MostTokens)
        {
            throw TooMany($"{MostTokens} tokens in overflowing windows");
        }
    }

    /// <summary>Tokens of the encoding itself, before padding.</summary>
    public int Length { get; }

    /// <summary>The encoding, it and its windows padded to at least <paramref name="paddedLength"/> tokens.</summary>
    public Encoding Build(int paddedLength) =>
        Build(_kept, paddedLength, [.. _overflowing.Select(window => Build(window, paddedLength, []))]);

    /// <summary>Every window so far goes on with every stretch of the next piece; what was kept goes on with the first stretch.</summary>
    private void Join(TemplatePiece piece, List<(int Start, int End)> stretches)
    {
        if ((long)(_overflowing.Count + 1) * stretches.Count > MostWindows)
        {
            throw TooMany($"{MostWindows} overflowing windows");
        }
        List<Part> next = [.. stretches.Select(stretch => new Part(piece, stretch.Start, stretch.End))];
        var overflowing = new List<Part[]>();
        foreach (Part[] window in _overflowing)
        {
            overflowing.AddRange(next.Select(part => (Part[])[.. window, part]));
        }
        overflowing.AddRange(next.Skip(1).Select(part => (Part[])[.. _kept, part]));
        (_kept, _overflowing) = ([.. _kept, next[0]], overflowing);
    }

    private static ArgumentException TooMany(string limit) =>
        new($"Encode: expected at most {limit}, got more; use a greater MaxLength or a smaller Stride.");

    private Encoding Build(Part[] parts, int paddedLength, ImmutableArray<Encoding> overflowing)
    {
        int length = parts.Sum(part => part.Length), total = Math.Max(length, paddedLength);
        int at = _padSide == Side.Left ? total - length : 0;
        var ids = new int[total];
        var typeIds = new int[total];
        var attention = new int[total];
        var special = new int[total];
        var tokens = new string[total];
        var words = new int?[total];
        var sequences = new int?[total];
        var offsets = new TextRange[total];
        var codePoints = new TextRange[total];
        Array.Fill(ids, _parts.Pad.Id);
        Array.Fill(typeIds, _parts.Pad.TypeId);
        Array.Fill(special, 1);
        Array.Fill(tokens, _parts.Pad.Token);
        foreach (Part part in parts)
        {
            Array.Fill(attention, 1, at, part.Length);
            Array.Fill(typeIds, part.Piece.TypeId, at, part.Length);
            if (part.Piece.Sequence < 0)
            {
                part.Piece.Ids.CopyTo(ids, at);
                part.Piece.Tokens.CopyTo(tokens, at);
                at += part.Length;
                continue;
            }
            SequenceTokens source = _sequences[part.Piece.Sequence]!;
            Array.Copy(source.Ids, part.Start, ids, at, part.Length);
            Array.Copy(source.Tokens, part.Start, tokens, at, part.Length);
            Array.Copy(source.Offsets, part.Start, offsets, at, part.Length);
            Array.Copy(source.CodePointOffsets, part.Start, codePoints, at, part.Length);
            Array.Clear(special, at, part.Length);
            Array.Fill(sequences, part.Piece.Sequence, at, part.Length);
            for (int i = part.Start; i < part.End; i++)
            {
                words[at++] = source.Words[i];
            }
        }
        return new Encoding
        {
            Ids = ImmutableCollectionsMarshal.AsImmutableArray(ids),
            Tokens = ImmutableCollectionsMarshal.AsImmutableArray(tokens),
            TypeIds = ImmutableCollectionsMarshal.AsImmutableArray(typeIds),
            AttentionMask = ImmutableCollectionsMarshal.AsImmutableArray(attention),
            SpecialTokensMask = ImmutableCollectionsMarshal.AsImmutableArray(special),
            WordIds = ImmutableCollectionsMarshal.AsImmutableArray(words),
            SequenceIds = ImmutableCollectionsMarshal.AsImmutableArray(sequences),
            Offsets = ImmutableCollectionsMarshal.AsImmutableArray(offsets),
            CodePointOffsets = ImmutableCollectionsMarshal.AsImmutableArray(codePoints),
            Overflowing = overflowing,
        };
    }
}
