using System.Text.Json;
using System.Text.Json.Serialization;
using Qkv.Text;

namespace Qkv.App.Server;

/// <summary>What <c>POST /trace</c> takes.</summary>
internal record TraceRequest
{
    public required string Text { get; init; }

    public string? Pair { get; init; }

    public bool SpecialTokens { get; init; } = true;

    /// <summary>Names of tensors to send as float32; <c>*</c> matches anything, <c>[1]</c> at the end takes one head.</summary>
    public string[] Tensors { get; init; } = [];

    /// <summary>Names of tensors to send as bytes, to colour with.</summary>
    public string[] Maps { get; init; } = [];

    /// <summary>The head whose parameters to send.</summary>
    public HeadName? Parameters { get; init; }

    /// <summary>Whether to say of every head where it looks.</summary>
    public bool Facts { get; init; }

    /// <summary>Whether to guess masked tokens; null: where there are any.</summary>
    public bool? Predictions { get; init; }

    /// <summary>Further tokens to guess.</summary>
    public int[] Positions { get; init; } = [];

    // Far more than a page asks for; each is work that nobody else is served meanwhile.
    private const int MostItems = 1024;

    /// <summary>What JSON's types do not say.</summary>
    /// <exception cref="RequestException">A list is too long or has null in it.</exception>
    public virtual void Check()
    {
        CheckItems("tensors", Tensors);
        CheckItems("maps", Maps);
    }

    protected static void CheckItems(string name, object?[] items, int most = MostItems)
    {
        if (items.Length > most) throw RequestException.Invalid($"'{name}' must have at most {most:N0} items, but has {items.Length:N0}.");
        if (items.Contains(null)) throw RequestException.Invalid($"'{name}' must not have null in it.");
    }
}

/// <summary>What <c>POST /experiment</c> takes: what to trace, and what to do otherwise.</summary>
internal sealed record ExperimentRequest : TraceRequest
{
    public required InterventionRequest[] Interventions { get; init; }

    /// <summary>What is done otherwise on both sides.</summary>
    public InterventionRequest[] Base { get; init; } = [];

    public override void Check()
    {
        base.Check();
        CheckItems("interventions", Interventions);
        CheckItems("base", Base);
    }
}

/// <summary>One thing to do otherwise; which members it needs depends on its kind.</summary>
internal sealed record InterventionRequest
{
    public required string Kind { get; init; }

    public int? A { get; init; }

    public int? B { get; init; }

    public int? Token { get; init; }

    public int? At { get; init; }

    public string? Text { get; init; }

    public int? Layer { get; init; }

    public int? Head { get; init; }

    public float? Value { get; init; }
}

/// <summary>What <c>POST /export</c> takes: the text, the head that is open at first (<c>parameters</c>), and experiments to record.</summary>
internal sealed record ExportRequest : TraceRequest
{
    // Each is two traces, with as many tensors as it asks for.
    private const int MostExperiments = 32;

    public ExperimentRequest[] Experiments { get; init; } = [];

    /// <summary>What the page remembers of itself: handed back as it is.</summary>
    public JsonElement? View { get; init; }

    public override void Check()
    {
        base.Check();
        CheckItems("experiments", Experiments, MostExperiments);
        foreach (ExperimentRequest experiment in Experiments) experiment.Check();
        CheckView();
    }

    /// <summary>JSON may escape half of a surrogate pair, which is no text and could not be handed back.</summary>
    private void CheckView()
    {
        if (View is not { } view) return;
        try
        {
            using var json = new Utf8JsonWriter(Stream.Null);
            view.WriteTo(json);
        }
        catch (InvalidOperationException)
        {
            throw RequestException.Invalid("'view' has a text that is not Unicode: half of a surrogate pair.");
        }
    }
}

internal sealed record HeadName
{
    public required int Layer { get; init; }

    public required int Head { get; init; }
}

/// <summary>How requests are read.</summary>
internal static class RequestJson
{
    private static readonly JsonSerializerOptions s_options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        MaxDepth = 16,
    };

    /// <summary>A request as a member of a recorded answer.</summary>
    public static void Write(Utf8JsonWriter json, string name, ExperimentRequest request)
    {
        json.WritePropertyName(name);
        JsonSerializer.Serialize(json, request, s_options);
    }

    /// <exception cref="RequestException">The body is not what the route takes.</exception>
    public static T Read<T>(ReadOnlySpan<byte> body) where T : TraceRequest
    {
        try
        {
            T request = JsonSerializer.Deserialize<T>(TextFile.WithoutMark(body), s_options) ?? throw RequestException.Invalid("The request must be a JSON object, but is null.");
            request.Check();
            return request;
        }
        catch (JsonException e)
        {
            string place = e.Path is { Length: > 1 } path ? $"at '{path}'" : $"line {e.LineNumber + 1}, byte {e.BytePositionInLine}";
            throw RequestException.Invalid($"The request's JSON cannot be read ({place}): {Reason(e)}.");
        }
    }

    /// <summary>What the serializer says of its types, said of the request.</summary>
    private static string Reason(JsonException e)
    {
        string[] quoted = e.Message.Split('\'');
        return e.Message switch
        {
            var message when message.Contains("could not be mapped", StringComparison.Ordinal) => $"there is no member '{quoted[1]}'",
            var message when message.Contains("missing required properties", StringComparison.Ordinal) => $"'{quoted[^2]}' is missing",
            // Strings that are not UTF-8, or have half of a surrogate pair.
            var message when message.Contains("could not be converted", StringComparison.Ordinal) && e.InnerException is InvalidOperationException inner
                && !inner.Message.Contains("token type", StringComparison.Ordinal) => "the text is not Unicode",
            var message when message.Contains("could not be converted", StringComparison.Ordinal) => "the value is of the wrong type",
            var message when message.StartsWith("Duplicate property", StringComparison.Ordinal) => $"there are two members '{quoted[1]}'",
            var message when message.Contains("doesn't allow", StringComparison.Ordinal) => "the value must not be null",
            _ => JsonMistake.Reason(e),
        };
    }
}
