using System.Globalization;
using System.Text.Json;

namespace Qkv.Parameters;

/// <summary>The fields of a config.json, read with their type: what is missing or of another type is refused by name.</summary>
internal readonly struct ConfigFields(JsonElement root, string file)
{
    /// <summary>A whole number within [lowest, highest]; the default, if any, stands for a missing or null field.</summary>
    public int Integer(string name, int lowest, int highest, int? whenMissing = null)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return whenMissing ?? throw Bad(name, "missing", $"a whole number from {lowest} to {highest}");
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= lowest && number <= highest
            ? number
            : throw Bad(name, Found(value), $"a whole number from {lowest} to {highest}");
    }

    /// <summary>A number within [lowest, highest].</summary>
    public double Number(string name, double lowest, double highest, double whenMissing)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return whenMissing;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= lowest && number <= highest
            ? number
            : throw Bad(name, Found(value), $"a number from {lowest} to {highest}");
    }

    public bool Flag(string name, bool whenMissing)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return whenMissing;
        }

        return value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw Bad(name, Found(value), "true or false");
    }

    public string? Text(string name)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.String ? value.GetString() : throw Bad(name, Found(value), "a text");
    }

    /// <summary>A text that is one of a few.</summary>
    public string? Choice(string name, ReadOnlySpan<string> supported)
    {
        string? text = Text(name);
        return text is null || supported.Contains(text)
            ? text
            : throw Bad(name, BadFile.Quote(text), string.Join(", ", supported!));
    }

    public IReadOnlyList<string> Texts(string name)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array) throw Bad(name, Found(value), "a list of texts");
        List<string> texts = [];
        foreach (JsonElement item in value.EnumerateArray())
        {
            texts.Add(item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Bad(name, Found(value), "a list of texts"));
        }

        return texts.AsReadOnly();
    }

    /// <summary>The texts of an object whose keys are the numbers 0 to n-1, in their order; null where missing or empty.</summary>
    public IReadOnlyList<string>? Numbered(string name)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Bad(name, Found(value), "an object from label numbers to label texts");
        }

        SortedDictionary<int, string> labels = [];
        foreach (JsonProperty entry in value.EnumerateObject())
        {
            bool plain = entry.Name is "0" or not ['0', ..];
            int key = plain && int.TryParse(entry.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : -1;
            labels[key] = entry.Value.ValueKind == JsonValueKind.String
                ? entry.Value.GetString()!
                : throw Bad($"{name}[{BadFile.Quote(entry.Name)}]", Found(entry.Value), "a text");
        }

        bool numbered = labels.Count == 0 || (labels.First().Key == 0 && labels.Last().Key == labels.Count - 1);
        if (!numbered)
        {
            throw Bad(name, "an object with other keys", "keys that are the numbers from 0 to n - 1, each once");
        }

        return labels.Count == 0 ? null : [.. labels.Values];
    }

    /// <summary>Whether a field asks for nothing: it is missing, null or an empty object.</summary>
    public bool IsEmpty(string name) =>
        !TryGet(name, out JsonElement value) || (value.ValueKind == JsonValueKind.Object && !value.EnumerateObject().Any());

    public InvalidDataException Bad(string name, string found, string supported) =>
        BadFile.Because(file, $"{name} is {found}; supported: {supported}.");

    private static string Found(JsonElement value) => BadFile.Quote(value.GetRawText());

    private bool TryGet(string name, out JsonElement value) =>
        root.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;
}
