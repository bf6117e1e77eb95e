using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Qkv.Text;

/// <summary>
/// Reads the text and JSON files of a model's directory with a bound on their size; whatever is wrong is one InvalidDataException.
/// </summary>
internal static class TextFile
{
    // The largest published tokenizer.json is under 40 MB; ten times that still fits in memory a few times over.
    private const long LargestFile = 400L << 20;

    // The files read here nest six deep at most; 64 is what System.Text.Json itself allows.
    private static readonly JsonDocumentOptions s_options = new() { MaxDepth = 64 };
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Refuses a path that is no directory, as the name of a model elsewhere is.</summary>
    /// <exception cref="DirectoryNotFoundException">There is none; says what to give.</exception>
    public static void CheckDirectory(string path)
    {
        if (Directory.Exists(path)) return;
        throw new DirectoryNotFoundException(File.Exists(path)
            ? $"'{path}' is a file; give the directory that it is in."
            : $"There is no directory '{path}'; nothing is downloaded, so give the path of a Hugging Face directory.");
    }

    /// <summary>A UTF-8 file as a string, without a byte order mark.</summary>
    public static string Read(string path)
    {
        byte[] bytes = ReadBytes(path);
        try
        {
            return s_strict.GetString(WithoutMark(bytes));
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException($"{path}: expected UTF-8, found an invalid byte at offset {e.Index}.", e);
        }
    }

    /// <summary>A JSON file whose root is an object.</summary>
    public static JsonDocument ReadObject(string path)
    {
        JsonDocument document = ReadJson(path);
        if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
        using (document)
        {
            throw new InvalidDataException($"{path}: expected a JSON object, found {document.RootElement.ValueKind}.");
        }
    }

    /// <summary>A JSON file.</summary>
    public static JsonDocument ReadJson(string path)
    {
        byte[] bytes = ReadBytes(path);
        int skipped = bytes.Length - WithoutMark(bytes).Length;
        try
        {
            return JsonDocument.Parse(bytes.AsMemory(skipped), s_options);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: not valid JSON: {JsonMistake.Of(e)}.", e);
        }
    }

    /// <summary>The bytes of a file that may have so many.</summary>
    public static byte[] ReadBytes(string path, long limit = LargestFile)
    {
        long length = RegularLength(path);
        return length <= limit
            ? File.ReadAllBytes(path)
            : throw new InvalidDataException($"{path}: it has {length} bytes, more than the {limit} that such a file may have.");
    }

    /// <summary>
    /// The length of a file, or of the one that a link leads to. To be asked before it is opened: a pipe that nobody writes to would wait for ever, and a device may have
    /// no end; both have no length. They are refused, and so is what stands for a file in a clone without Git LFS.
    /// </summary>
    public static long RegularLength(string path)
    {
        FileSystemInfo? target = File.ResolveLinkTarget(path, returnFinalTarget: true);
        if (target is { Exists: false }) throw new InvalidDataException($"{path}: it is a link to {target.FullName}, which is not there; get the file again.");
        long length = new FileInfo(target?.FullName ?? path).Length;
        return length == 0 ? throw new InvalidDataException($"{path}: it is empty, or no regular file; get it again.")
            : IsLargeFilePointer(path, length) ? throw new InvalidDataException($"{path}: it is Git LFS's pointer to the file; fetch the file itself with 'git lfs pull'.")
            : length;
    }

    /// <summary>Three lines of text, which a clone without Git LFS leaves where a large file belongs.</summary>
    private static bool IsLargeFilePointer(string path, long length)
    {
        ReadOnlySpan<byte> beginning = "version https://git-lfs"u8;
        if (length > 1024) return false;
        Span<byte> read = stackalloc byte[beginning.Length];
        using SafeFileHandle file = File.OpenHandle(path, share: FileShare.Read | FileShare.Delete);
        return RandomAccess.Read(file, read, 0) == read.Length && read.SequenceEqual(beginning);
    }

    /// <summary>Bytes without the byte order mark that some editors begin a file with.</summary>
    public static ReadOnlySpan<byte> WithoutMark(ReadOnlySpan<byte> bytes) =>
        bytes.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]) ? bytes[3..] : bytes;
}
