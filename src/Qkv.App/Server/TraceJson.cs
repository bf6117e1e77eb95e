using System.Text.Json;
using Qkv.App.Attention;
using Qkv.Text;

namespace Qkv.App.Server;

/// <summary>The answer of <c>POST /trace</c>.</summary>
internal static class TraceJson
{
    private const int TopPredictions = 10;

    public static async ValueTask WriteAsync(JsonPipe pipe, TextEncoder encoder, string model, TraceRequest request, TracedText traced)
    {
        Utf8JsonWriter json = pipe.Json;
        // What can be refused is refused before the first byte.
        List<TensorPart> tensors = TensorPart.Find(traced.Trace, request.Tensors), maps = TensorPart.Find(traced.Trace, request.Maps);
        int[]? predicted = PredictedPositions(encoder, request, traced);

        json.WriteStartObject();
        json.WriteString("model", model);
        json.WriteString("text", request.Text);
        json.WriteString("pair", request.Pair);
        WriteTokens(json, traced.Tokens);
        json.WriteStartObject("tensors");
        foreach (TensorPart tensor in tensors) await tensor.WriteAsync(pipe);
        json.WriteEndObject();
        json.WriteStartObject("maps");
        foreach (TensorPart map in maps) await map.WriteMapAsync(pipe);
        json.WriteEndObject();
        if (request.Facts) WriteFacts(json, encoder, traced);
        if (predicted != null) WritePredictions(json, encoder, traced, predicted);
        await WriteEmbeddingAsync(pipe, encoder, traced);
        json.WriteEndObject();
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

    private static void WriteOrNull(Utf8JsonWriter json, string name, int? number)
    {
        if (number is { } value) json.WriteNumber(name, value);
        else json.WriteNull(name);
    }

    private static void WriteFacts(Utf8JsonWriter json, TextEncoder encoder, TracedText traced)
    {
        Vocabulary vocabulary = encoder.Tokenizer.Vocabulary;
        HeadToken[] tokens = [.. traced.Tokens.Select(token => new HeadToken(
            token.Id, !token.Special ? null : vocabulary.TryGet("[CLS]", out int cls) && token.Id == cls ? Look.Cls : Look.Sep, Punctuation: false))];
        json.WriteStartArray("facts");
        for (int layer = 0; layer < traced.Trace.Layers; layer++)
            for (int head = 0; head < traced.Trace.Heads; head++)
            {
                var facts = new HeadFacts(layer, head);
                facts.Add(traced.Trace.WeightsOf(0, layer, head), tokens);
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
    private static int[]? PredictedPositions(TextEncoder encoder, TraceRequest request, TracedText traced)
    {
        foreach (int position in request.Positions)
            if ((uint)position >= (uint)traced.Tokens.Count) throw RequestException.Invalid($"There is no token {position}; the text has 0 … {traced.Tokens.Count - 1}.");
        if (encoder.Model.Heads.MaskedLanguage == null || request.Predictions == false) return null;
        int[] positions = [.. Enumerable.Range(0, traced.Tokens.Count).Where(i => traced.Tokens[i].Id == encoder.Tokenizer.MaskId || request.Positions.Contains(i))];
        return positions.Length > 0 || request.Predictions == true ? positions : null;
    }

    private static void WritePredictions(Utf8JsonWriter json, TextEncoder encoder, TracedText traced, int[] positions)
    {
        json.WriteStartArray("predictions");
        foreach (int position in positions)
        {
            json.WriteStartObject();
            json.WriteNumber("position", position);
            WriteTop(json, "top", encoder.Predict(traced.Trace, position, TopPredictions));
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    public static void WriteTop(Utf8JsonWriter json, string name, IReadOnlyList<TokenPrediction> predictions)
    {
        json.WriteStartArray(name);
        foreach (TokenPrediction prediction in predictions)
        {
            json.WriteStartObject();
            json.WriteString("token", prediction.Token);
            json.WriteNumber("id", prediction.Id);
            json.WriteNumber("score", prediction.Score);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static async ValueTask WriteEmbeddingAsync(JsonPipe pipe, TextEncoder encoder, TracedText traced)
    {
        float[] embedding = encoder.Embed(traced.Trace);
        pipe.Json.WriteStartObject("embedding");
        pipe.Json.WriteShape([embedding.Length]);
        await pipe.WriteDataAsync(embedding.AsMemory());
        pipe.Json.WriteEndObject();
    }
}
