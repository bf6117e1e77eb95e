using System.Text.Json;

namespace Qkv.Text;

/// <summary>
/// A JSON value that knows its file and path (<c>model.vocab</c>), so that every wrong type is one sentence that names the place,
/// what was expected and what was found.
/// </summary>
internal readonly record struct JsonField(JsonElement Element, string File, string Path)
{
    /// <summary>Absent or null.</summary>
    public bool IsNull => Element.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    /// <summary>A member of an object; absent members are undefined values. Of two members with one name the last counts.</summary>
    public JsonField this[string name]
    {
        get
        {
            Expect(JsonValueKind.Object);
            string path = Path.Length == 0 ? name : $"{Path}.{name}";
            return new(Element.TryGetProperty(name, out JsonElement value) ? value : default, File, path);
        }
    }

    /// <summary>The members of an object, in the file's order, duplicates included.</summary>
    public IEnumerable<(string Name, JsonField Value)> Members()
    {
        Expect(JsonValueKind.Object);
        foreach (JsonProperty member in Element.EnumerateObject())
        {
            string name = Checked(() => member.Name);
            yield return (name, new(member.Value, File, Path.Length == 0 ? name : $"{Path}.{name}"));
        }
    }

    /// <summary>The elements of an array.</summary>
    public IEnumerable<JsonField> Elements()
    {
        Expect(JsonValueKind.Array);
        int index = 0;
        foreach (JsonElement element in Element.EnumerateArray())
        {
            yield return new(element, File, $"{Path}[{index++}]");
        }
    }

    /// <summary>The value of a string.</summary>
    public string String()
    {
        Expect(JsonValueKind.String);
        JsonElement element = Element;
        return Checked(() => element.GetString()!);
    }

    /// <summary>A string, or the default where there is none.</summary>
    public string String(string absent) => IsNull ? absent : String();

    /// <summary>A boolean, or the default where there is none.</summary>
    public bool Boolean(bool absent) => Boolean() ?? absent;

    /// <summary>A boolean, or null where there is none.</summary>
    public bool? Boolean() => Element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ when IsNull => null,
        _ => throw Wrong("true or false"),
    };

    /// <summary>A whole number of <paramref name="low"/> … 2³¹ − 1.</summary>
    public int Integer(int low = 0) =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetInt32(out int value) && value >= low
            ? value
            : throw Wrong($"a whole number from {low} to {int.MaxValue}");

    /// <summary>An error at this place.</summary>
    public InvalidDataException Wrong(string expected)
    {
        string found = Element.ValueKind switch
        {
            JsonValueKind.Undefined => "nothing",
            JsonValueKind.Object => "an object",
            JsonValueKind.Array => "an array",
            _ => Element.GetRawText() is { Length: > 60 } raw ? raw[..60] + "…" : Element.GetRawText(),
        };
        return new InvalidDataException($"{File}: {(Path.Length == 0 ? "the file" : Path)}: expected {expected}, found {found}.");
    }

    private void Expect(JsonValueKind kind)
    {
        if (Element.ValueKind != kind)
        {
            throw Wrong(kind switch
            {
                JsonValueKind.Object => "an object",
                JsonValueKind.Array => "an array",
                _ => "a string",
            });
        }
    }

    /// <summary>System.Text.Json reports half a surrogate pair and invalid UTF-8 only when a string is taken out.</summary>
    private string Checked(Func<string> take)
    {
        try
        {
            return take();
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{File}: {Path}: a string is not valid Unicode text.", e);
        }
    }
}
