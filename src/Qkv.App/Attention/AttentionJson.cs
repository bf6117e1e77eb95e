using System.Text.Json;

namespace Qkv.App.Attention;

/// <summary><c>{model, tokens, layers:[{layer, heads:[{head, entropy, weights:[[…]]}], average:[[…]]}]}</c></summary>
internal static class AttentionJson
{
    /// <param name="json">Where it goes.</param>
    /// <param name="model">The model's name.</param>
    /// <param name="tokens">(L)</param>
    /// <param name="layers">The chosen ones.</param>
    /// <param name="head">The only head to write; null for all.</param>
    public static void Write(Utf8JsonWriter json, string model, IEnumerable<string> tokens, IEnumerable<LayerAttention> layers, int? head)
    {
        json.WriteStartObject();
        json.WriteString("model", model);
        json.WriteStartArray("tokens");
        foreach (string token in tokens) json.WriteStringValue(token);
        json.WriteEndArray();
        json.WriteStartArray("layers");
        foreach (LayerAttention layer in layers) Write(json, layer, head);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, LayerAttention layer, int? only)
    {
        json.WriteStartObject();
        json.WriteNumber("layer", layer.Layer);
        json.WriteStartArray("heads");
        for (int head = 0; head < layer.Heads; head++)
        {
            if (only is { } chosen && chosen != head) continue;
            json.WriteStartObject();
            json.WriteNumber("head", head);
            json.WriteNumber("entropy", layer.Entropies[head]);
            Write(json, "weights", layer.Head(head), layer.Length);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        Write(json, "average", layer.Average, layer.Length);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, ReadOnlySpan<float> weights, int length)
    {
        json.WriteStartArray(name);
        for (int row = 0; row < length; row++)
        {
            json.WriteStartArray();
            foreach (float weight in weights.Slice(row * length, length)) json.WriteNumberValue(weight);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }
}
