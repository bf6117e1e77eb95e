using Microsoft.Extensions.AI;

namespace Qkv;

/// <summary>A <see cref="TextEncoder"/> as Microsoft.Extensions.AI's embedding generator.</summary>
/// <param name="encoder">The encoder; it stays the caller's.</param>
public sealed class TextEmbeddingGenerator(TextEncoder encoder) : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly TextEncoder _encoder = encoder ?? throw new ArgumentNullException(nameof(encoder));
    private readonly EmbeddingGeneratorMetadata _metadata = new("qkv", null, Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(encoder.Directory))), encoder.Dimensions);

    /// <inheritdoc/>
    /// <remarks>There is one model, whatever <see cref="EmbeddingGenerationOptions.ModelId"/> asks for. A cancelled call ends after the batch that it is at.</remarks>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        string[] texts = [.. values];
        return Task.Run(() =>
        {
            var result = new GeneratedEmbeddings<Embedding<float>>(texts.Length);
            long tokens = 0;
            foreach (TextEmbedding embedding in _encoder.EmbedUntil(texts, new EmbedOptions { Dimensions = options?.Dimensions }, cancellationToken))
            {
                result.Add(new Embedding<float>(embedding.Vector) { ModelId = _metadata.DefaultModelId, CreatedAt = DateTimeOffset.UtcNow });
                tokens += embedding.Tokens;
            }
            result.Usage = new UsageDetails { InputTokenCount = tokens, TotalTokenCount = tokens };
            return result;
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey != null ? null
            : serviceType == typeof(EmbeddingGeneratorMetadata) ? _metadata
            : serviceType.IsInstanceOfType(_encoder) ? _encoder
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <summary>Does nothing: the encoder stays the caller's, and the garbage collector frees it.</summary>
    public void Dispose()
    {
    }
}
