using System.Buffers;
using System.IO.Compression;
using System.Text;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>
/// Text to learn from, as one stream of token ids: documents are separated by blank lines in the file and by the separator in
/// the stream.
/// </summary>
internal sealed class TextCorpus
{
    private TextCorpus(int[] tokens) => Tokens = tokens;

    /// <summary>All documents, each followed by [SEP].</summary>
    public int[] Tokens { get; }

    /// <summary>Reads UTF-8 text, unpacking it where the name ends in .gz.</summary>
    /// <exception cref="InvalidDataException">A line is not valid UTF-8, or there is no text; names file and line.</exception>
    public static TextCorpus Read(string path, Tokenizer tokenizer, int separator)
    {
        using Stream plain = Open(path);
        using var reader = new StreamReader(plain, new UTF8Encoding(false, throwOnInvalidBytes: true));
        var ids = new ArrayBufferWriter<int>(1 << 20);
        int line = 0;
        try
        {
            while (reader.ReadLine() is { } text)
            {
                line++;
                if (!string.IsNullOrWhiteSpace(text)) tokenizer.Append(text, ids, new EncodeOptions { AddSpecialTokens = false });
                else if (ids.WrittenCount > 0 && ids.WrittenSpan[^1] != separator) Write(ids, separator);
            }
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException($"{path}: line {line + 1} or one soon after it is not valid UTF-8; convert the file.", e);
        }
        if (ids.WrittenCount == 0) throw new InvalidDataException($"{path} holds no text.");
        if (ids.WrittenSpan[^1] != separator) Write(ids, separator);
        return new TextCorpus(ids.WrittenSpan.ToArray());
    }

    /// <summary>The bytes of a file, unpacked where its name ends in .gz.</summary>
    public static Stream Open(string path)
    {
        FileStream file = File.OpenRead(path);
        return path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : file;
    }

    private static void Write(ArrayBufferWriter<int> ids, int id)
    {
        ids.GetSpan(1)[0] = id;
        ids.Advance(1);
    }
}
