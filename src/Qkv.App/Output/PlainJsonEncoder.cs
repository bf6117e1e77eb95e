using System.Globalization;
using System.Text.Encodings.Web;

namespace Qkv.App.Output;

/// <summary>
/// JSON strings with every character as it is, those beyond the BMP included, which System.Text.Json's own encoders escape. Escaped
/// is what JSON demands, and every other character that some program takes for the end of a line.
/// </summary>
internal sealed unsafe class PlainJsonEncoder : JavaScriptEncoder
{
    public static readonly PlainJsonEncoder Instance = new();

    // \uXXXX
    public override int MaxOutputCharactersPerInputCharacter => 6;

    public override bool WillEncode(int unicodeScalar) =>
        unicodeScalar is < ' ' or '"' or '\\' or >= 0x7F and <= 0x9F or 0x2028 or 0x2029;

    public override int FindFirstCharacterToEncode(char* text, int textLength)
    {
        for (int i = 0; i < textLength; i++)
        {
            bool isPair = char.IsHighSurrogate(text[i]) && i + 1 < textLength && char.IsLowSurrogate(text[i + 1]);
            if (WillEncode(text[i]) || (char.IsSurrogate(text[i]) && !isPair)) return i;
            if (isPair) i++;
        }
        return -1;
    }

    public override bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten)
    {
        var destination = new Span<char>(buffer, bufferLength);
        if (unicodeScalar is '"' or '\\' or '\n' or '\r' or '\t')
        {
            numberOfCharactersWritten = bufferLength < 2 ? 0 : 2;
            if (bufferLength < 2) return false;
            (destination[0], destination[1]) = ('\\', (char)unicodeScalar switch { '\n' => 'n', '\r' => 'r', '\t' => 't', char c => c });
            return true;
        }
        if (WillEncode(unicodeScalar)) return destination.TryWrite(CultureInfo.InvariantCulture, $"\\u{unicodeScalar:x4}", out numberOfCharactersWritten);
        var rune = new System.Text.Rune(unicodeScalar);
        return rune.TryEncodeToUtf16(destination, out numberOfCharactersWritten);
    }
}
