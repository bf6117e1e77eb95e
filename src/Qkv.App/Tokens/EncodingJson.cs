using System.Collections.Immutable;
using System.Text.Json;
using Qkv.Text;

namespace Qkv.App.Tokens;

/// <summary>
/// <c>{ids, tokens, type_ids, attention_mask, special_tokens_mask, word_ids, sequence_ids, offsets, offsets_utf16, overflowing}</c>;
/// offsets count code points, and overflowing holds objects of the same kind.
/// </summary>
internal static class EncodingJson
{
    public static void Write(Utf8JsonWriter json, Encoding encoding)
    {
        json.WriteStartObject();
        Write(json, "ids", encoding.Ids);
        json.WriteStartArray("tokens");
        foreach (string token in encoding.Tokens) json.WriteStringValue(token);
        json.WriteEndArray();
        Write(json, "type_ids", encoding.TypeIds);
        Write(json, "attention_mask", encoding.AttentionMask);
        Write(json, "special_tokens_mask", encoding.SpecialTokensMask);
        Write(json, "word_ids", encoding.WordIds);
        Write(json, "sequence_ids", encoding.SequenceIds);
        Write(json, "offsets", encoding.CodePointOffsets);
        Write(json, "offsets_utf16", encoding.Offsets);
        json.WriteStartArray("overflowing");
        foreach (Encoding window in encoding.Overflowing) Write(json, window);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    public static void WriteError(Utf8JsonWriter json, string error)
    {
        json.WriteStartObject();
        json.WriteString("error", error);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, ImmutableArray<int> numbers)
    {
        json.WriteStartArray(name);
        foreach (int number in numbers) json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, ImmutableArray<int?> numbers)
    {
        json.WriteStartArray(name);
        foreach (int? number in numbers)
            if (number is { } known) json.WriteNumberValue(known);
            else json.WriteNullValue();
        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, ImmutableArray<TextRange> ranges)
    {
        json.WriteStartArray(name);
        foreach (TextRange range in ranges)
        {
            json.WriteStartArray();
            json.WriteNumberValue(range.Start);
            json.WriteNumberValue(range.End);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }
}
