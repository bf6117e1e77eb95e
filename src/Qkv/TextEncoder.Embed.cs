using System.Buffers;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv;

/// <summary>How texts become vectors; what is null is as the directory says, and mean pooling without normalisation where it says nothing.</summary>
public sealed record EmbedOptions
{
    /// <summary>How hidden states become one vector.</summary>
    public Pooling? Pooling { get; init; }

    /// <summary>Whether vectors are brought to unit length.</summary>
    public bool? Normalize { get; init; }

    /// <summary>Keep only the first numbers of a vector (before normalising); for models that were trained for it.</summary>
    public int? Dimensions { get; init; }

    /// <summary>Text put before every text; null for the directory's default prompt.</summary>
    public string? Prompt { get; init; }
}

/// <summary>The vector of one text.</summary>
/// <param name="Vector">The numbers.</param>
/// <param name="Tokens">Tokens that were read, special ones included.</param>
/// <param name="Truncated">Whether the text was longer than the model reads, and its end left out.</param>
public readonly record struct TextEmbedding(float[] Vector, int Tokens, bool Truncated);

public sealed unsafe partial class TextEncoder
{
    /// <summary>The vector of a text (C), which is cut to <see cref="MaxTokens"/>: with a list, the result says whether it was.</summary>
    /// <exception cref="ArgumentException">The options are out of range, or the text is null.</exception>
    public float[] Embed(string text, EmbedOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Embed([text], options)[0].Vector;
    }

    /// <summary>
    /// The vectors of texts, each the same to the last bit whatever the others are. Texts are worked on in batches, so memory does not
    /// grow with their number beyond the results.
    /// </summary>
    /// <exception cref="ArgumentException">The options are out of range, or a text is null.</exception>
    public IReadOnlyList<TextEmbedding> Embed(IReadOnlyList<string> texts, EmbedOptions? options = null) => EmbedUntil(texts, options, CancellationToken.None);

    /// <summary>The same, ended between two batches.</summary>
    internal IReadOnlyList<TextEmbedding> EmbedUntil(IReadOnlyList<string> texts, EmbedOptions? options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(texts);
        CheckOptions(options);
        var results = new TextEmbedding[texts.Count];
        var batch = new TokenBatch();
        var truncated = new List<bool>();
        int first = 0;
        for (int i = 0; i < texts.Count; i++)
        {
            truncated.Add(Append(At(texts[i], i, nameof(texts)), batch, options?.Prompt));
            if (batch.Tokens < _model.Encoder.BatchTokens && i + 1 < texts.Count) continue;
            cancellation.ThrowIfCancellationRequested();
            float[] vectors = new float[batch.Sequences * Dimensions];
            Embed(batch, vectors, options);
            int size = options?.Dimensions ?? Dimensions;
            for (int sequence = 0; sequence < batch.Sequences; sequence++)
                results[first + sequence] = new TextEmbedding(vectors.AsSpan(sequence * Dimensions, size).ToArray(), batch.Length(sequence), truncated[sequence]);
            first = i + 1;
            batch.Clear();
            truncated.Clear();
        }
        return results;
    }

    /// <summary>
    /// Appends a text to a batch, cut to <see cref="MaxTokens"/>; returns whether it was cut. Together with
    /// <see cref="Embed(TokenBatch, Span{float}, EmbedOptions?)"/> this is the path that allocates nothing once its buffers have grown.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="batch">Where its tokens go.</param>
    /// <param name="prompt">Text put before it; null for the directory's default prompt.</param>
    public bool Append(string text, TokenBatch batch, string? prompt = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(batch);
        prompt ??= _recipe.DefaultPrompt;
        if (!string.IsNullOrEmpty(prompt)) text = prompt + text;
        ArrayBufferWriter<int> ids = t_ids ??= new ArrayBufferWriter<int>(512);
        ids.ResetWrittenCount();
        Appended appended = Tokenizer.Append(text, ids, Tokenizer.Cut(MaxTokens));
        batch.Add(ids.WrittenSpan);
        return appended.Truncated;
    }

    /// <summary>The vectors of a batch of token ids, into memory of the caller. A sequence of no tokens, or of hidden ones only, gives zeros.</summary>
    /// <param name="batch">B sequences.</param>
    /// <param name="vectors">(B, C): of each row the first <see cref="EmbedOptions.Dimensions"/> numbers are the vector, where that is given.</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">The memory does not fit, or an option is out of range.</exception>
    /// <exception cref="InvalidDataException">A vector has NaN or an infinity; names the text.</exception>
    public void Embed(TokenBatch batch, Span<float> vectors, EmbedOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        Check.Length(nameof(Embed), nameof(vectors), (long)batch.Sequences * Dimensions, vectors.Length);
        CheckOptions(options);
        int size = options?.Dimensions ?? Dimensions;
        bool normalize = options?.Normalize ?? _recipe.Normalize;
        fixed (float* output = vectors)
        {
            var receiver = new PoolingReceiver(options?.Pooling ?? _recipe.Pooling, normalize, Dimensions, size, output, _model.Encoder.Threads);
            _model.Encoder.Forward(batch, ref receiver);
        }
        for (int sequence = 0; sequence < batch.Sequences; sequence++)
            CheckFinite(vectors.Slice(sequence * Dimensions, size), batch.IdsOf(sequence));
    }

    private void CheckOptions(EmbedOptions? options)
    {
        if (options?.Dimensions is { } size && (size < 1 || size > Dimensions))
            throw new ArgumentException($"Dimensions must be from 1 to {Dimensions}, which this model has, but is {size}.", nameof(options));
        if (options?.Pooling is { } pooling && (uint)pooling > (uint)Pooling.Max)
            throw new ArgumentException($"Pooling must be Mean, Cls or Max, but is {(int)pooling}.", nameof(options));
    }

    /// <summary>The vectors (B, C) of a traced batch, as the directory says that they are made.</summary>
    internal float[] Embed(AttentionTrace trace)
    {
        var vectors = new float[trace.Sequences * Dimensions];
        fixed (float* output = vectors)
            trace.Pool(new PoolingReceiver(_recipe.Pooling, _recipe.Normalize, Dimensions, Dimensions, output, _model.Encoder.Threads));
        return vectors;
    }

    // Ids of the text being appended: one buffer a thread, no longer than the longest text it has read.
    [ThreadStatic]
    private static ArrayBufferWriter<int>? t_ids;
}
