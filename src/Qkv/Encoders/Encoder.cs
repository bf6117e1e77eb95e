using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>What becomes of the last hidden states of some sequences, before their memory is used again.</summary>
internal unsafe interface IReceiver
{
    /// <summary>Called by several threads at a time, each with sequences of its own.</summary>
    /// <param name="tokens">Which sequences.</param>
    /// <param name="hidden">(T, C)</param>
    void Receive(in TokenSlice tokens, float* hidden);
}

/// <summary>
/// Token ids in, hidden states out. Immutable; any number of threads may call it at once. A batch is cut into slices, so memory does
/// not grow with the batch; where it is cut changes no bit of any result.
/// </summary>
internal sealed unsafe class Encoder
{
    /// <summary>
    /// Tokens that a thread computes by itself, all layers long: what is on the way between two maps stays in the caches, and no thread waits for another. More of them
    /// leave the caches, fewer read the parameters more often.
    /// </summary>
    public const int SliceTokens = 256;

    /// <summary>A sequence of more tokens is computed by all threads together.</summary>
    public const int MostTokensAlone = 2 * SliceTokens;

    // The last round of slices is rarely full, and the more rounds there are the less that matters.
    private const int SlicesPerThread = 8;

    private static readonly int[] s_compiled = new int[Enum.GetValues<Precision>().Length];

    private readonly TokenEmbedding _embedding;
    private readonly EncoderLayer[] _layers;
    private readonly ActivationPool _together, _alone;
    private readonly bool _inTiles; // whether any product is bfloat16 or int8

    public Encoder(EncoderConfig config, TokenEmbedding embedding, EncoderLayer[] layers, int threads)
    {
        // More threads than there are would only be given memory.
        (Config, _embedding, _layers, Threads) = (config, embedding, layers, Math.Min(threads, Workers.Limit));
        _inTiles = layers.Any(layer => layer.LinearMaps.Any(map => map.Matrix.Precision != Precision.Float32));
        _together = new ActivationPool(config, Threads);
        _alone = Threads == 1 ? _together : new ActivationPool(config, 1);
    }

    public EncoderConfig Config { get; }

    /// <summary>Threads of the team that a call may use.</summary>
    public int Threads { get; }

    /// <summary>Tokens of a batch that keeps all threads busy; larger ones are no faster.</summary>
    public int BatchTokens => SlicesPerThread * SliceTokens * Threads;

    public TokenEmbedding Embedding => _embedding;

    public ReadOnlySpan<EncoderLayer> Layers => _layers;

    /// <summary>
    /// Has the kernels compiled that nearly all models use, by a forward pass of the smallest one there is: for another thread to do while arguments or parameters are
    /// read. Only the first call for a precision does anything.
    /// </summary>
    public static void Compile(Precision precision)
    {
        if (RuntimeFeature.IsDynamicCodeCompiled && Interlocked.Exchange(ref s_compiled[(int)precision], 1) == 0) PassSmallest(precision);
    }

    /// <summary>Through an encoder of one layer with one head, whose parameters do not matter.</summary>
    internal static void PassSmallest(Precision precision)
    {
        EncoderConfig smallest = EncoderConfig.Parse("""
            {"model_type": "bert", "vocab_size": 1, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 32, "max_position_embeddings": 1, "type_vocab_size": 1}
            """u8, nameof(PassSmallest));
        int features = smallest.HiddenSize;
        var table = new EmbeddingTable(1, features, NumberFormat.Float32);
        var normalization = new Normalization(new float[features], new float[features], smallest.LayerNormEpsilon);
        var layer = new EncoderLayer(new SelfAttention(Map(3), 1), Map(1), normalization,
            new FeedForward(Map(1), Map(1), Activation.Gelu), normalization);
        var encoder = new Encoder(smallest, new TokenEmbedding(table, table, table, normalization), [layer], threads: 1);
        var batch = new TokenBatch();
        batch.Add([0]);
        float* vector = stackalloc float[features];
        var receiver = new PoolingReceiver(Pooling.Mean, normalize: true, features, features, vector, threads: 1);
        encoder.Forward(batch, ref receiver);

        Linear Map(int maps) => new(new PackedMatrix(maps, features, features, precision));
    }

    /// <summary>The whole path: ids (T) → embeddings (T, C) → layers → hidden states (T, C), which are returned.</summary>
    public float* Forward(in TokenSlice tokens, Activations a, CancellationToken cancellation = default)
    {
        if (!_inTiles || !OwnThreads.Wanted) return Pass(tokens, a, cancellation);
        // All layers by another thread, which so is asked for once.
        var whole = new WholePass(this, tokens, a, cancellation);
        OwnThreads.Run(&WholePass.Run, Unsafe.AsPointer(ref whole));
        return whole.Hidden;
    }

    private float* Pass(in TokenSlice tokens, Activations a, CancellationToken cancellation)
    {
        _embedding.Forward(tokens, a.EmbeddingSum, a.Embeddings, a.Threads, a.Changes is { WithoutPositions: true });
        a.EmbeddingsDropout.Apply(a.Embeddings, tokens.Tokens, Config.HiddenSize, a.Threads);
        float* hidden = a.Embeddings;
        for (int i = 0; i < _layers.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (a.Layers[i].Change is { Disabled: true }) a.PassThrough(i, hidden, Config.HiddenSize);
            else _layers[i].Forward(tokens, hidden, a.Layers[i], a.Threads);
            hidden = a.Layers[i].Output;
        }
        return hidden;
    }

    /// <summary>A pass that another thread makes while the caller, on whose stack this stays, waits for it.</summary>
    private ref struct WholePass(Encoder encoder, TokenSlice tokens, Activations activations, CancellationToken cancellation)
    {
        public float* Hidden;

        private readonly TokenSlice _tokens = tokens;

        public static void Run(void* whole)
        {
            ref WholePass pass = ref Unsafe.AsRef<WholePass>(whole);
            pass.Hidden = pass.Make();
        }

        private readonly float* Make() => encoder.Pass(_tokens, activations, cancellation);
    }

    /// <summary>The same lines upward: the gradient of the hidden states, in g.Output (T, C), becomes that of every parameter that learns, added up.</summary>
    public void Backward(in TokenSlice tokens, Activations a, in LayerGradients g)
    {
        for (int i = _layers.Length - 1; i >= 0; i--)
        {
            // Below a layer that is frozen everything is.
            if (!_layers[i].Learns) return;
            float* hidden = i > 0 ? a.Layers[i - 1].Output : a.Embeddings;
            _layers[i].Backward(tokens, hidden, a.Layers[i], g, wantsInput: i > 0 ? _layers[i - 1].Learns : _embedding.Learns, Threads);
        }
        if (!_embedding.Learns) return;
        a.EmbeddingsDropout.Apply(g.Output, tokens.Tokens, Config.HiddenSize, Threads); // embeddings = dropout(LayerNorm(sum))
        _embedding.Backward(tokens, a.EmbeddingSum, Config.PadTokenId, g, Threads);
    }

    /// <summary>Takes all parameters again after a step has changed them.</summary>
    public void Refresh()
    {
        _embedding.Normalization.Refresh();
        foreach (EncoderLayer layer in _layers)
        {
            foreach (Linear map in layer.LinearMaps) map.Refresh();
            foreach (Normalization normalization in layer.Normalizations) normalization.Refresh();
        }
    }

    /// <summary>
    /// Runs a batch in slices of whole sequences and hands each to <paramref name="receiver"/>. As long as there is a slice for every thread, each computes its own; what
    /// is left, and long sequences, all compute together.
    /// </summary>
    public void Forward<TReceiver>(TokenBatch batch, ref TReceiver receiver) where TReceiver : struct, IReceiver
    {
        CheckRange(batch);
        using var memory = new Rented(batch.Sequences + 1L);
        int* starts = (int*)memory.Pointer;
        for (int first = 0; first < batch.Sequences;)
        {
            int slices = Cut(batch, first, starts), alone = slices / Threads * Threads;
            if (alone > 0)
            {
                var passes = new Passes<TReceiver>(this, batch, starts, ref receiver);
                Workers.Run(new PassesKernel<TReceiver>(Unsafe.AsPointer(ref passes)), alone, Threads);
                passes.Failure?.Throw();
            }
            // What is left over, or where nothing is, the long sequence at which the cutting ended.
            int rest = starts[alone];
            first = alone < slices ? starts[slices] : Math.Min(rest + 1, batch.Sequences);
            if (rest < first) Forward(batch.Slice(rest, first - rest), _together, ref receiver);
        }
        GC.KeepAlive(batch);
    }

    /// <summary>
    /// Cuts slices from a sequence on, up to the next long one or the end: <paramref name="starts"/> gets the first sequence of each, and where the last one ends.
    /// Returns how many there are.
    /// </summary>
    private static int Cut(TokenBatch batch, int first, int* starts)
    {
        int slices = 0, next = first;
        while (next < batch.Sequences && batch.Length(next) <= MostTokensAlone)
        {
            int start = next++;
            starts[slices++] = start;
            while (next < batch.Sequences && batch.Starts[next + 1] - batch.Starts[start] <= SliceTokens) next++;
        }
        starts[slices] = next;
        return slices;
    }

    private void Forward<TReceiver>(in TokenSlice tokens, ActivationPool pool, ref TReceiver receiver) where TReceiver : struct, IReceiver
    {
        Activations activations = pool.Rent(tokens.Tokens);
        try
        {
            receiver.Receive(tokens, Forward(tokens, activations));
        }
        finally
        {
            pool.Return(activations);
        }
    }

    /// <summary>What the threads need that compute slices: it stays on the stack of the caller, who waits for them.</summary>
    private ref struct Passes<TReceiver>(Encoder encoder, TokenBatch batch, int* starts, ref TReceiver receiver) where TReceiver : struct, IReceiver
    {
        private readonly ref TReceiver _receiver = ref receiver;

        /// <summary>What went wrong first: an exception must not leave a thread of the team.</summary>
        public ExceptionDispatchInfo? Failure;

        public void Run(int slice)
        {
            if (Volatile.Read(ref Failure) != null) return;
            try
            {
                encoder.Forward(batch.Slice(starts[slice], starts[slice + 1] - starts[slice]), encoder._alone, ref _receiver);
            }
            catch (Exception failure)
            {
                Interlocked.CompareExchange(ref Failure, ExceptionDispatchInfo.Capture(failure), null);
            }
        }
    }

    private readonly struct PassesKernel<TReceiver>(void* passes) : IKernel where TReceiver : struct, IReceiver
    {
        public void Run<V>(int part, int worker) where V : struct, ISimd<V> => Unsafe.AsRef<Passes<TReceiver>>(passes).Run(part);
    }

    /// <summary>Runs a batch with the reference attention and keeps everything.</summary>
    /// <param name="batch">The sequences.</param>
    /// <param name="changes">What an experiment changes; null for nothing.</param>
    /// <param name="memory">Used again where it is large enough; may be null.</param>
    /// <param name="cancellation">Ends the work between two layers.</param>
    public Activations Record(TokenBatch batch, Changes? changes = null, AlignedBuffer? memory = null, CancellationToken cancellation = default)
    {
        CheckRange(batch);
        Activations activations = Activations.ToRecord(Config, batch, Threads, changes, memory);
        Forward(batch.Slice(0, batch.Sequences), activations, cancellation);
        GC.KeepAlive(batch);
        return activations;
    }

    // Ids index tables: one that is out of range must be an error, not a read from somewhere else.
    private void CheckRange(TokenBatch batch)
    {
        Check("token id", batch.Ids, Config.VocabularySize);
        Check("segment id", batch.TypeIds, Config.TypeVocabularySize);
        Check("position", batch.Positions, Config.MaxPositions);

        static void Check(string what, ReadOnlySpan<int> numbers, int limit)
        {
            foreach (int number in numbers)
                if ((uint)number >= (uint)limit)
                    throw new ArgumentException($"{nameof(Encoder)}: {what} {number} is outside 0 … {limit - 1}, which is all that this model has.");
        }
    }
}
