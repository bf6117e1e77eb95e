using System.Text.Json;

namespace Qkv.Text;

/// <summary>What is wrong with a text that is no JSON, as part of a sentence.</summary>
internal static class JsonMistake
{
    /// <summary>The reason, with the place as people count.</summary>
    public static string Of(Exception mistake) =>
        mistake is JsonException { LineNumber: { } line, BytePositionInLine: { } position } ? $"{Reason(mistake)} (line {line + 1}, byte {position + 1})" : Reason(mistake);

    /// <summary>The reason without its full stop and the place, in which System.Text.Json counts lines from 0.</summary>
    public static string Reason(Exception mistake) => mistake.Message.Split(" Path:")[0].Split(" LineNumber:")[0].TrimEnd('.');
}
