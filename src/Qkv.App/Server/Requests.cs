using System.Text.Json;
using System.Text.Json.Serialization;

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
        MaxDepth = 8,
    };

    /// <exception cref="RequestException">The body is not what the route takes.</exception>
    public static async Task<T> ReadAsync<T>(Stream body, CancellationToken cancellation) where T : class
    {
        try
        {
            return await JsonSerializer.DeserializeAsync<T>(body, s_options, cancellation) ?? throw RequestException.Invalid("The request must be a JSON object, but is null.");
        }
        catch (JsonException e)
        {
            string place = e.Path is { Length: > 1 } path ? $"at '{path}'" : $"line {e.LineNumber + 1}, byte {e.BytePositionInLine}";
            string reason = e.Message.Split(" Path:")[0].Split(" LineNumber:")[0].Replace(typeof(T).FullName!, "the request", StringComparison.Ordinal).TrimEnd('.');
            throw RequestException.Invalid($"The request's JSON cannot be read ({place}): {reason}.");
        }
    }
}
