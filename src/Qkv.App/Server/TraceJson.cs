using System.Text.Json;
using Qkv.App.Attention;
using Qkv.Text;

namespace Qkv.App.Server;

/// <summary>The answer of <c>POST /trace</c>. What can be refused is refused when it is made, before the first byte.</summary>
internal sealed class TraceJson
{
    public const int TopPredictions = 10;

    private readonly TextEncoder _encoder;
    private readonly string _model;
    private readonly TraceRequest _request;
    private readonly TracedText _traced;
    private readonly List<TensorPart> _tensors, _maps;
    private readonly HeadParameters? _parameters;

    /// <exception cref="RequestException">The request names what is not there.</exception>
    public TraceJson(TextEncoder encoder, string model, TraceRequest request, TracedText traced)
    {
        (_encoder, _model, _request, _traced) = (encoder, model, request, traced);
        (_tensors, _maps) = (TensorPart.Find(traced.Trace, request.Tensors), TensorPart.Find(traced.Trace, request.Maps));
        _parameters = request.Parameters is { } head ? HeadParameters.Of(encoder, head) : null;
        Predicted = Positions(encoder, request, traced);
    }

    /// <summary>The tokens that are guessed; null where the model cannot, or nobody asked.</summary>
    public int[]? Predicted { get; }

    public async ValueTask WriteAsync(JsonPipe pipe)
    {
        pipe.Json.WriteStartObject();
        await WriteMembersAsync(pipe);
        if (_parameters != null)
        {
            pipe.Json.WritePropertyName("parameters");
            await _parameters.WriteAsync(pipe);
        }
        pipe.Json.WriteEndObject();
    }

    /// <summary>Everything but the parameters.</summary>
    public async ValueTask WriteMembersAsync(JsonPipe pipe)
    {
        Utf8JsonWriter json = pipe.Json;
        json.WriteString("model", _model);
        json.WriteString("text", _request.Text);
        json.WriteString("pair", _request.Pair);
        WriteTokens(json, _traced.Tokens);
        json.WriteStartObject("tensors");
        foreach (TensorPart tensor in _tensors) await tensor.WriteAsync(pipe);
        json.WriteEndObject();
        json.WriteStartObject("maps");
        foreach (TensorPart map in _maps) await map.WriteMapAsync(pipe);
        json.WriteEndObject();
        if (_request.Facts) WriteFacts(json);
        if (Predicted != null) WritePredictions(json, Predicted);
        float[] embedding = _encoder.Embed(_traced.Trace);
        await pipe.WriteTensorAsync("embedding", embedding, [embedding.Length]);
    }

    private static void WriteTokens(Utf8JsonWriter json, IReadOnlyList<TracedToken> tokens)
    {
        json.WriteStartArray("tokens");
        foreach (TracedToken token in tokens)
        {
            json.WriteStartObject();
            json.WriteNumber("id", token.Id);
            json.WriteString("token", token.Token);
            json.WriteNumber("segment", token.Segment);
            json.WriteBoolean("special", token.Special);
            WriteOrNull(json, "start", token.Offset?.Start);
            WriteOrNull(json, "end", token.Offset?.End);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    public static void WriteOrNull(Utf8JsonWriter json, string name, int? number)
    {
        if (number is { } value) json.WriteNumber(name, value);
        else json.WriteNull(name);
    }

    private void WriteFacts(Utf8JsonWriter json)
    {
        Vocabulary vocabulary = _encoder.Tokenizer.Vocabulary;
        AttentionTrace trace = _traced.Trace;
        HeadToken[] tokens = [.. _traced.Tokens.Select(token => new HeadToken(
            token.Id, !token.Special ? null : vocabulary.TryGet("[CLS]", out int cls) && token.Id == cls ? Look.Cls : Look.Sep, Punctuation: false))];
        json.WriteStartArray("facts");
        for (int layer = 0; layer < trace.Layers; layer++)
            for (int head = 0; head < trace.Heads; head++)
            {
                var facts = new HeadFacts(layer, head);
                facts.Add(trace.WeightsOf(0, layer, head), tokens);
                json.WriteStartObject();
                json.WriteNumber("layer", layer);
                json.WriteNumber("head", head);
                json.WriteNumber("entropy", facts.Entropy);
                json.WriteNumber("distance", facts.Distance);
                json.WriteNumber("cls", facts.Share(Look.Cls));
                json.WriteNumber("sep", facts.Share(Look.Sep));
                json.WriteNumber("self", facts.Share(Look.Self));
                json.WriteNumber("previous", facts.Share(Look.Previous));
                json.WriteNumber("next", facts.Share(Look.Next));
                json.WriteEndObject();
            }
        json.WriteEndArray();
    }

    /// <summary>The tokens to guess; null where the model cannot, or nobody asked.</summary>
    public static int[]? Positions(TextEncoder encoder, TraceRequest request, TracedText traced)
    {
        CheckPositions(request, traced.Tokens.Count);
        if (encoder.Model.Heads.MaskedLanguage == null || request.Predictions == false) return null;
        int[] positions = [.. Enumerable.Range(0, traced.Tokens.Count).Where(i => traced.Tokens[i].Id == encoder.Tokenizer.MaskId || request.Positions.Contains(i))];
        return positions.Length > 0 || request.Predictions == true ? positions : null;
    }

    /// <exception cref="RequestException">A position is not there.</exception>
    public static void CheckPositions(TraceRequest request, int tokens)
    {
        foreach (int position in request.Positions)
            if ((uint)position >= (uint)tokens) throw RequestException.Invalid($"There is no token {position}; the text has 0 … {tokens - 1}.");
    }

    private void WritePredictions(Utf8JsonWriter json, int[] positions)
    {
        json.WriteStartArray("predictions");
        foreach (int position in positions)
        {
            json.WriteStartObject();
            json.WriteNumber("position", position);
            WriteTop(json, "top", _encoder.Predict(_traced.Trace, position, TopPredictions));
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    public static void WriteTop(Utf8JsonWriter json, string name, IReadOnlyList<TokenPrediction> predictions)
    {
        json.WritePropertyName(name);
        FillMaskCommand.WriteGuesses(json, predictions);
    }
}
