using System.Diagnostics.CodeAnalysis;
using Qkv.Text;

namespace Qkv.Parameters;

/// <summary>The one form of every refusal: the file, then one sentence that names the thing and the way out.</summary>
internal static class BadFile
{
    public static InvalidDataException Because(string file, string reason, Exception? cause = null) =>
        new($"{file}: {reason}", cause);

    [DoesNotReturn]
    public static void Throw(string file, string reason) => throw Because(file, reason);

    public static InvalidDataException Because(string file, string tensor, string reason) =>
        Because(file, $"tensor {Quote(tensor)} {reason}");

    [DoesNotReturn]
    public static void Throw(string file, string tensor, string reason) => throw Because(file, tensor, reason);

    /// <summary>What was to be JSON: the reader's reason and place.</summary>
    public static InvalidDataException NotJson(string file, string what, Exception cause) => Because(file, $"{what}: {JsonMistake.Of(cause)}.", cause);

    /// <summary>Text from a file, short and printable enough for a message.</summary>
    public static string Quote(string? text)
    {
        // Long enough for every real tensor name; a hostile one does not flood the terminal.
        const int Longest = 120;
        if (text is null)
        {
            return "null";
        }

        string cut = text.Length > Longest ? text[..Longest] + "…" : text;
        return $"'{string.Concat(cut.Select(c => char.IsControl(c) ? '?' : c))}'";
    }
}
