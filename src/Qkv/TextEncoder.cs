using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv;

/// <summary>How a model is loaded.</summary>
public sealed record TextEncoderOptions
{
    /// <summary>Threads that one call may use; null for as many as the processor quota allows.</summary>
    public int? Threads { get; init; }

    /// <summary>How the parameters of linear maps are held.</summary>
    public Precision Precision { get; init; }
}

/// <summary>
/// The front door: a Hugging Face directory, ready to turn texts into embeddings, labels, entities, answers and words, and to show
/// every query, key, value, score and weight on the way. Immutable and safe to call from many threads.
/// </summary>
public sealed unsafe partial class TextEncoder
{
    private readonly Model _model;
    private readonly Tokenizer? _tokenizer;
    private readonly EmbeddingRecipe _recipe;

    private TextEncoder(string directory, Model model, Tokenizer? tokenizer, EmbeddingRecipe recipe)
    {
        (Directory, _model, _tokenizer, _recipe) = (directory, model, tokenizer, recipe);
        MaxTokens = Math.Min(model.Config.MaxPositions, Math.Min(tokenizer?.ModelMaxLength ?? int.MaxValue, recipe.MaxTokens ?? int.MaxValue));
    }

    /// <summary>The directory that was loaded.</summary>
    public string Directory { get; }

    /// <summary>The sizes and settings of the encoder.</summary>
    public EncoderConfig Config => _model.Config;

    /// <summary>The tokenizer of the directory.</summary>
    /// <exception cref="InvalidOperationException">The directory has none; only token ids can be given.</exception>
    public Tokenizer Tokenizer => _tokenizer
        ?? throw new InvalidOperationException($"{Directory} has no tokenizer (no tokenizer.json and no vocab.txt), so it cannot read text.");

    /// <summary>C, the numbers of an embedding.</summary>
    public int Dimensions => Config.HiddenSize;

    /// <summary>The most tokens of a text, special tokens included; what is longer is truncated, as <see cref="TextEmbedding.Truncated"/> and <see cref="Encode"/> say.</summary>
    public int MaxTokens { get; }

    internal Model Model => _model;

    /// <summary>The same with other parameters.</summary>
    internal TextEncoder With(Model model) => new(Directory, model, _tokenizer, _recipe);

    internal EmbeddingRecipe Recipe => _recipe;

    /// <summary>Loads a Hugging Face directory: <c>config.json</c>, parameters, and the tokenizer where there is one.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    /// <exception cref="FileNotFoundException">The directory has no <c>config.json</c>.</exception>
    /// <exception cref="InvalidDataException">A file is damaged or asks for something that is not supported; names file, thing and way out.</exception>
    /// <exception cref="ArgumentException">The options are out of range.</exception>
    public static TextEncoder Load(string directory, TextEncoderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(directory);
        int threads = options?.Threads ?? Workers.Limit;
        if (threads < 1) throw new ArgumentException($"Threads must be at least 1, but is {threads}.", nameof(options));
        Precision precision = options?.Precision ?? Precision.Float32;
        if (!Enum.IsDefined(precision)) throw new ArgumentException($"Precision must be Float32, BFloat16 or Int8, but is {precision}.", nameof(options));
        TextFile.CheckDirectory(directory);
        Task<Tokenizer?> reading = Task.Run(() =>
        {
            Tokenizer? loaded = Tokenizer.Exists(directory) ? Tokenizer.Load(directory) : null;
            if (loaded != null) _ = Task.Run(loaded.Compile);
            return loaded;
        });
        Task<EmbeddingRecipe> asking = Task.Run(() => EmbeddingRecipe.Load(directory));
        Model model;
        Tokenizer? tokenizer;
        EmbeddingRecipe recipe;
        try
        {
            model = Model.Load(directory, threads, precision);
            tokenizer = reading.GetAwaiter().GetResult();
            recipe = asking.GetAwaiter().GetResult();
        }
        catch
        {
            // One mistake is told; what else went wrong beside it must not come up later as nobody's.
            foreach (Task other in (Task[])[reading, asking]) other.ContinueWith(static done => done.Exception, TaskContinuationOptions.OnlyOnFaulted);
            throw;
        }
        if (tokenizer != null && tokenizer.Vocabulary.Count > model.Config.VocabularySize)
            throw new InvalidDataException(
                $"{directory}: the tokenizer has {tokenizer.Vocabulary.Count:N0} ids, but the model only {model.Config.VocabularySize:N0}; they do not belong together.");
        if (recipe.LowerCase && tokenizer is { Normalizer.Lowercase: false })
            throw new InvalidDataException(
                $"{Path.Combine(directory, "sentence_bert_config.json")}: do_lower_case is true, which is supported only where the tokenizer lower-cases, and this one does not; set it to false if the model was trained so.");
        var encoder = new TextEncoder(directory, model, tokenizer, recipe);
        if (tokenizer != null && encoder.MaxTokens <= tokenizer.TemplateTokens)
            throw new InvalidDataException(
                $"{directory}: a text may have {encoder.MaxTokens:N0} tokens, the least of max_position_embeddings (config.json), model_max_length (tokenizer_config.json) and max_seq_length (sentence_bert_config.json), and special tokens take {tokenizer.TemplateTokens}; set it to {tokenizer.TemplateTokens + 1} at least.");
        return encoder;
    }

    /// <summary>
    /// Everything that is computed for a text, or for a pair of texts, cut to <see cref="MaxTokens"/>; with interventions, what would be computed if it were otherwise.
    /// </summary>
    /// <exception cref="ArgumentException">The text has no tokens, or an intervention names a token, layer or head that is not there.</exception>
    public AttentionTrace Trace(string text, string? pair = null, bool addSpecialTokens = true, IReadOnlyList<Intervention>? interventions = null)
    {
        Encoding encoding = Encode(text, pair, addSpecialTokens);
        var batch = new TokenBatch();
        batch.Add(encoding.Ids.AsSpan(), encoding.TypeIds.AsSpan());
        return Trace(batch, interventions: interventions);
    }

    /// <summary>Everything that is computed for a batch of token ids.</summary>
    /// <param name="batch">The sequences.</param>
    /// <param name="length">L, the length to pad to, at least that of the longest sequence; 0 for just that.</param>
    /// <param name="choices">N where every N sequences are the choices of one question: their logits come back as (B / N, N).</param>
    /// <param name="interventions">What to do otherwise; for a batch of one sequence.</param>
    /// <exception cref="ArgumentException">
    /// An id, segment or position is outside the model's tables, a sequence is longer than <paramref name="length"/>, or an intervention names a token, layer or head that
    /// is not there.
    /// </exception>
    public AttentionTrace Trace(TokenBatch batch, int length = 0, int choices = 1, IReadOnlyList<Intervention>? interventions = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (choices < 1 || batch.Sequences % choices != 0)
            throw new ArgumentException($"{batch.Sequences} sequences cannot be {choices} choices each.", nameof(choices));
        return new AttentionTrace(_model, batch, length, choices, Intervention.Combine(Config, batch, interventions));
    }

    /// <summary>A text as tokens, cut to <see cref="MaxTokens"/>; where anything was cut, <see cref="Encoding.Overflowing"/> is not empty.</summary>
    public Encoding Encode(string text, string? pair = null, bool addSpecialTokens = true)
    {
        Encoding encoding = Tokenizer.Encode(text, pair, Tokenizer.Cut(MaxTokens) with { AddSpecialTokens = addSpecialTokens });
        return encoding.Length > 0 ? encoding : throw new ArgumentException("The text has no tokens; give it at least one visible character.", nameof(text));
    }

    private static string At(string? text, int index, string name) => text ?? throw new ArgumentException($"Text {index} of the list is null.", name);

    /// <summary>The last hidden states (L, C) of one encoding.</summary>
    internal float[] HiddenStates(TokenBatch batch)
    {
        var hidden = new float[(long)batch.Tokens * Dimensions];
        fixed (float* destination = hidden)
        {
            var receiver = new HiddenStateReceiver(destination, Dimensions, batch.Starts[0]);
            _model.Encoder.Forward(batch, ref receiver);
        }
        CheckFinite(hidden, batch.Ids);
        return hidden;
    }

    /// <summary>Refuses results that are no numbers: nothing could be made of them, and nobody would see why.</summary>
    /// <param name="results">Numbers that the model computed.</param>
    /// <param name="ids">The text that it computed them for.</param>
    /// <exception cref="InvalidDataException">There is NaN or an infinity among them; names the text.</exception>
    internal void CheckFinite(ReadOnlySpan<float> results, ReadOnlySpan<int> ids)
    {
        if (Elementwise.AreFinite(results)) return;
        string text = BadFile.Quote(_tokenizer?.Decode(ids) ?? string.Join(' ', ids.ToArray()));
        throw new InvalidDataException($"{Directory}: the model computes NaN or infinities for {text}; the embedding of one of its tokens, or a task head, is damaged or too large.");
    }

    private struct HiddenStateReceiver(float* output, int features, int origin) : IReceiver
    {
        private readonly float* _output = output;

        public readonly void Receive(in TokenSlice tokens, float* hidden) =>
            new ReadOnlySpan<float>(hidden, tokens.Tokens * features).CopyTo(new Span<float>(_output + (nint)(tokens.Starts[0] - origin) * features, tokens.Tokens * features));
    }

    private InvalidOperationException NoHead(string task, string architectures)
    {
        string has = string.Join(", ", _model.Heads.Names);
        return new InvalidOperationException(
            $"{Directory} cannot {task}: it has no such task head (architecture {string.Join(", ", Config.Architectures)}; heads: {(has.Length == 0 ? "none" : has)}); use a directory saved from {architectures}.");
    }
}
