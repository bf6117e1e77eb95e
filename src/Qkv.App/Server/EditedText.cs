using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.App.Server;

/// <summary>
/// The tokens of a text while interventions are done to them, one after the other: each names tokens where those before have left them.
/// </summary>
internal sealed class EditedText
{
    private readonly TextEncoder _encoder;
    private readonly List<Row> _rows;
    private readonly List<Func<Intervention?>> _interventions = [];

    /// <summary>A token on its way; <paramref name="before"/> is its row at the start, or null where it is new.</summary>
    private sealed class Row(TracedToken token, int? before)
    {
        public TracedToken Token { get; set; } = token;

        public int? Before => before;
    }

    public EditedText(TextEncoder encoder, IEnumerable<TracedToken> tokens)
    {
        _encoder = encoder;
        _rows = [.. tokens.Select((token, i) => new Row(token, i))];
    }

    public List<TracedToken> Tokens => [.. _rows.Select(row => row.Token)];

    /// <summary>(L): the row at the start of every token, or null.</summary>
    public List<int?> Before => [.. _rows.Select(row => row.Before)];

    /// <summary>What the engine does otherwise; what names a token that was deleted is left out.</summary>
    /// <exception cref="RequestException">An intervention makes no sense.</exception>
    public List<Intervention> Interventions => [.. _interventions.Select(make => make()).OfType<Intervention>()];

    /// <exception cref="RequestException">An intervention makes no sense.</exception>
    public EditedText Apply(IEnumerable<InterventionRequest> interventions)
    {
        foreach (InterventionRequest intervention in interventions) Apply(intervention);
        TracedToken.CheckLength(_encoder, _rows.Count);
        return this;
    }

    private void Apply(InterventionRequest request)
    {
        switch (request.Kind)
        {
            case "swap_tokens":
                Swap(RowAt(request, "a", request.A), RowAt(request, "b", request.B));
                break;
            case "insert_token":
                Insert(At(request, "at", request.At, _rows.Count + 1), Text(request));
                break;
            case "delete_token":
                if (_rows.Count == 1) throw RequestException.Invalid("The only token cannot be deleted.");
                _rows.RemoveAt(At(request, "at", request.At, _rows.Count));
                break;
            case "replace_token":
                Replace(At(request, "at", request.At, _rows.Count), Text(request));
                break;
            case "no_positions":
                Do(Intervention.WithoutPositions);
                break;
            case "disable_layer":
                int skipped = Layer(request);
                Do(() => Intervention.DisableLayer(skipped));
                break;
            case "disable_head":
                (int layer, int head) = (Layer(request), At(request, "head", request.Head, _encoder.Config.Heads));
                Do(() => Intervention.DisableHead(layer, head));
                break;
            case "hide_token":
                Row hidden = _rows[RowAt(request, "token", request.Token)];
                Do(() => _rows.Contains(hidden) ? Intervention.HideToken(_rows.IndexOf(hidden)) : null);
                break;
            case "temperature":
                float value = request.Value ?? throw Missing(request, "value");
                if (value is not (>= LayerChange.LowestTemperature and <= LayerChange.HighestTemperature)) throw RequestException.Invalid("A temperature must be above 0, from 0.000001 to 1,000,000.");
                Optional(request);
                Do(() => Intervention.Temperature(value, request.Layer, request.Head));
                break;
            case "cross_attention":
                int crossed = Layer(request);
                Optional(request);
                Do(() => Cross(crossed, request.Head));
                break;
            case "permute_keys":
                (Row first, Row second) = (_rows[RowAt(request, "a", request.A)], _rows[RowAt(request, "b", request.B)]);
                Optional(request);
                Do(() => _rows.Contains(first) && _rows.Contains(second) ? Intervention.SwapKeys(_rows.IndexOf(first), _rows.IndexOf(second), request.Layer) : null);
                break;
            default:
                throw RequestException.Invalid(
                    $"There is no intervention '{request.Kind}'; there are swap_tokens, insert_token, delete_token, replace_token, no_positions, disable_head, disable_layer, hide_token, temperature, cross_attention and permute_keys.");
        }
    }

    private void Do(Func<Intervention?> intervention) => _interventions.Add(intervention);

    /// <summary>Two words change places; the places keep their segments.</summary>
    private void Swap(int a, int b)
    {
        (int segmentA, int segmentB) = (_rows[a].Token.Segment, _rows[b].Token.Segment);
        (_rows[a], _rows[b]) = (_rows[b], _rows[a]);
        _rows[a].Token = _rows[a].Token with { Segment = segmentA };
        _rows[b].Token = _rows[b].Token with { Segment = segmentB };
    }

    private void Insert(int at, string text)
    {
        // A token belongs to the text that it stands in: before [SEP] as after the last word.
        TracedToken neighbour = at > 0 && (at == _rows.Count || !_rows[at - 1].Token.Special) ? _rows[at - 1].Token : _rows[at].Token;
        _rows.InsertRange(at, Pieces(text).Select(piece => new Row(New(piece, neighbour), null)));
    }

    private void Replace(int at, string text)
    {
        Row old = _rows[at];
        List<int> pieces = Pieces(text);
        if (pieces is [int same] && same == old.Token.Id) return;
        _rows.RemoveAt(at);
        _rows.InsertRange(at, pieces.Select((piece, i) => new Row(New(piece, old.Token), i == 0 ? old.Before : null)));
    }

    private TracedToken New(int id, TracedToken like) => new(id, _encoder.Tokenizer.Vocabulary.TokenOf(id), like.Segment, like.Sequence ?? 0, null);

    /// <summary>An entry of the vocabulary, as ##ing, is itself; everything else is read as text.</summary>
    private List<int> Pieces(string text)
    {
        if (_encoder.Tokenizer.Vocabulary.TryGet(text, out int id)) return [id];
        List<int> pieces = [.. _encoder.Tokenizer.Encode(text, null, new EncodeOptions { AddSpecialTokens = false }).Ids];
        return pieces.Count > 0 ? pieces : throw RequestException.Invalid("The new text has no tokens; give it at least one visible character.");
    }

    private Intervention Cross(int layer, int? head)
    {
        int[] Of(int sequence) => [.. Enumerable.Range(0, _rows.Count).Where(i => _rows[i].Token.Sequence == sequence)];
        int[] queries = Of(0), keys = Of(1);
        return keys.Length > 0 ? Intervention.CrossAttention(queries, keys, layer, head) : throw RequestException.Invalid("Cross-attention needs a pair: queries come from the first text, keys and values from the second.");
    }

    private int Layer(InterventionRequest request) => At(request, "layer", request.Layer, _encoder.Config.Layers);

    private void Optional(InterventionRequest request)
    {
        if (request.Layer is not null) Layer(request);
        if (request.Head is not null) At(request, "head", request.Head, _encoder.Config.Heads);
    }

    private int RowAt(InterventionRequest request, string name, int? given) => At(request, name, given, _rows.Count);

    private static int At(InterventionRequest request, string name, int? given, int count) => given is not { } index ? throw Missing(request, name)
        : (uint)index < (uint)count ? index
        : throw RequestException.Invalid($"'{name}' of {request.Kind} must be from 0 to {count - 1}, but is {index}.");

    private static string Text(InterventionRequest request) => request.Text ?? throw Missing(request, "text");

    private static RequestException Missing(InterventionRequest request, string name) => RequestException.Invalid($"{request.Kind} needs '{name}'.");
}
