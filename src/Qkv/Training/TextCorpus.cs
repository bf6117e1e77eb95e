using System.Buffers;
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
    /// <exception cref="InvalidDataException">The file is damaged, or there is no text; names file and line.</exception>
    public static TextCorpus Read(string path, Tokenizer tokenizer, int separator)
    {
        var ids = new ArrayBufferWriter<int>(1 << 20);
        foreach (string line in TextLines.Read(path))
        {
            if (!string.IsNullOrWhiteSpace(line)) tokenizer.Append(line, ids, new EncodeOptions { AddSpecialTokens = false });
            else if (ids.WrittenCount > 0 && ids.WrittenSpan[^1] != separator) Write(ids, separator);
        }
        if (ids.WrittenCount == 0) throw new InvalidDataException($"{path} holds no text.");
        if (ids.WrittenSpan[^1] != separator) Write(ids, separator);
        return new TextCorpus(ids.WrittenSpan.ToArray());
    }

    private static void Write(ArrayBufferWriter<int> ids, int id)
    {
        ids.GetSpan(1)[0] = id;
        ids.Advance(1);
    }
}
