using Qkv.App.Output;

namespace Qkv.App.Embeddings;

/// <summary>Where vectors go, one at a time.</summary>
internal abstract class EmbeddingWriter : IDisposable
{
    public abstract void Write(string text, ReadOnlySpan<float> vector, int tokens, bool truncated);

    /// <summary>Writes what a file ends with.</summary>
    public virtual void Complete()
    {
    }

    public virtual void Dispose()
    {
    }

    /// <summary>Refuses early what could not be written.</summary>
    /// <exception cref="UsageException">The name ends in no known kind, or the file cannot be there.</exception>
    public static void Check(string? path, string? input)
    {
        if (path is null) return;
        OutputFile.Check(path, input);
        if (Kind(path) is not (".jsonl" or ".npy" or ".parquet")) throw new UsageException($"--output '{path}' must end in .jsonl, .npy or .parquet.");
    }

    /// <param name="path">The name, which tells the kind.</param>
    /// <param name="stream">What to write to.</param>
    /// <param name="dimensions">Numbers of a vector.</param>
    public static EmbeddingWriter Create(string path, Stream stream, int dimensions) => Kind(path) switch
    {
        ".npy" => new NpyEmbeddings(stream, dimensions),
        ".parquet" => new ParquetEmbeddings(stream, dimensions),
        _ => new JsonEmbeddings(stream),
    };

    private static string Kind(string path) => Path.GetExtension(path).ToLowerInvariant();
}
