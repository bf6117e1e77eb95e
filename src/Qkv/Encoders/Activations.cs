using System.Runtime.InteropServices;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>
/// Every intermediate of a forward pass, named and shaped; the trace, the tests and the pass itself all read it. To run, all
/// layers share one set of buffers; to train, each layer keeps its own; to record, scores and weights as well.
/// </summary>
internal sealed unsafe class Activations
{
    private readonly AlignedBuffer _scratch;
    private readonly LayerActivations[] _layers;
    private readonly long _layerSize;

    private Activations(EncoderConfig config, int tokens, int threads, TokenBatch? recorded, bool train = false, AlignedBuffer? memory = null, Changes? changes = null)
    {
        bool record = recorded != null, keep = record || train;
        // What is kept lies row by row, as everybody expects it.
        int c = config.HiddenSize, intermediate = keep ? config.IntermediateSize : AlignedBuffer.RowBytes(config.IntermediateSize * sizeof(float)) / sizeof(float);
        (Tokens, Threads) = (tokens, threads);
        // What is recorded has its matrices, and needs no tiles of them.
        _scratch = new AlignedBuffer(record ? 0 : threads * FlashAttention.ScratchSize(config.HeadSize, tokens));
        if (record) ScoreStarts = Starts(recorded!, config.Heads);
        long scores = ScoreStarts[^1];
        // Q, K, V; context; sum; attention output; intermediate; output - and what is kept besides
        long perToken = 7 * c + intermediate + (keep ? c : 0) + (record ? 2 * c : 0) + (train ? intermediate + config.Heads : 0);
        _layerSize = tokens * perToken + 2 * scores;
        long size = 2L * tokens * c + _layerSize * (keep ? config.Layers : 1);
        Memory = memory?.Length >= size ? memory : new AlignedBuffer(size);
        Changes = changes;

        float* next = Memory.Pointer;
        float* Take(long count)
        {
            float* start = next;
            next += count;
            return start;
        }

        long row = (long)tokens * c;
        EmbeddingSum = Take(row);
        Embeddings = Take(row);
        _layers = new LayerActivations[config.Layers];
        for (int i = 0; i < _layers.Length; i++)
        {
            if (i > 0 && !keep)
            {
                _layers[i] = _layers[0];
                continue;
            }
            _layers[i] = new LayerActivations
            {
                Scratch = _scratch.Pointer,
                QueriesKeysValues = Take(3 * row),
                Context = Take(row),
                AttentionSum = Take(row),
                AttentionOutput = Take(row),
                Intermediate = Take((long)tokens * intermediate),
                IntermediateStride = intermediate,
                Output = Take(row),
            };
            _layers[i].OutputSum = keep ? Take(row) : _layers[i].AttentionSum;
            if (train)
            {
                _layers[i].PreActivation = Take((long)tokens * intermediate);
                _layers[i].LogSums = Take((long)tokens * config.Heads);
            }
            if (!record) continue;
            _layers[i].Change = changes?.Of(i);
            _layers[i].AttentionProjection = Take(row);
            _layers[i].FeedForward = Take(row);
            _layers[i].Scores = Take(scores);
            _layers[i].Weights = Take(scores);
            _layers[i].ScoreStarts = (long*)Marshal.UnsafeAddrOfPinnedArrayElement(ScoreStarts, 0);
        }
    }

    /// <summary>The most tokens that fit.</summary>
    public int Tokens { get; }

    /// <summary>Threads that may work in them together.</summary>
    public int Threads { get; }

    /// <summary>What everything is kept in.</summary>
    public AlignedBuffer Memory { get; }

    /// <summary>What an experiment changes; null for nothing.</summary>
    public Changes? Changes { get; }

    /// <summary>Where the scores of each sequence start, when recorded (B + 1).</summary>
    public long[] ScoreStarts { get; } = [0];

    /// <summary>Word + position + segment (T, C).</summary>
    public float* EmbeddingSum { get; }

    /// <summary>What enters layer 0: after LayerNorm (T, C).</summary>
    public float* Embeddings { get; }

    public ReadOnlySpan<LayerActivations> Layers => _layers;

    /// <summary>What the embeddings (T, C) are multiplied by, while a model learns.</summary>
    public Dropout EmbeddingsDropout { get; private set; }

    /// <summary>Sets what the next forward and backward pass drop.</summary>
    public void Drop(in DropoutPlan plan)
    {
        EmbeddingsDropout = plan.Embeddings;
        for (int i = 0; i < _layers.Length; i++)
        {
            _layers[i].WeightsDropout = plan.Weights(i);
            _layers[i].ProjectionDropout = plan.Projection(i);
            _layers[i].FeedForwardDropout = plan.FeedForward(i);
        }
    }

    /// <summary>Buffers to run batches of up to <paramref name="tokens"/> tokens.</summary>
    public static Activations ToRun(EncoderConfig config, int tokens, int threads) => new(config, tokens, threads, null);

    /// <summary>Buffers that keep what the backward pass of up to <paramref name="tokens"/> tokens needs.</summary>
    public static Activations ToTrain(EncoderConfig config, int tokens, int threads) => new(config, tokens, threads, null, train: true);

    /// <summary>
    /// Buffers that keep everything that the forward pass of this batch computes, in <paramref name="memory"/> where that is large enough.
    /// </summary>
    public static Activations ToRecord(EncoderConfig config, TokenBatch batch, int threads, Changes? changes = null, AlignedBuffer? memory = null) =>
        new(config, batch.Tokens, threads, batch, memory: memory, changes: changes);

    /// <summary>A layer that is left out: what comes in, x (T, C), goes out, and all between is 0.</summary>
    public void PassThrough(int layer, float* x, int columns)
    {
        new Span<float>(_layers[layer].QueriesKeysValues, checked((int)_layerSize)).Clear();
        new ReadOnlySpan<float>(x, Tokens * columns).CopyTo(new Span<float>(_layers[layer].Output, Tokens * columns));
    }

    private static long[] Starts(TokenBatch batch, int heads)
    {
        long[] starts = GC.AllocateArray<long>(batch.Sequences + 1, pinned: true);
        for (int sequence = 0; sequence < batch.Sequences; sequence++)
            starts[sequence + 1] = starts[sequence] + (long)heads * batch.Length(sequence) * batch.Length(sequence);
        return starts;
    }
}

/// <summary>The intermediates of one layer.</summary>
internal unsafe struct LayerActivations
{
    /// <summary>Q, K and V side by side (T, 3·C).</summary>
    public float* QueriesKeysValues;

    /// <summary>Sequence by sequence (H, L, L); null where flash attention runs.</summary>
    public float* Scores;

    /// <summary>Like <see cref="Scores"/>.</summary>
    public float* Weights;

    /// <summary>(T, C): the heads joined.</summary>
    public float* Context;

    /// <summary>(T, C): after the output projection; null where nothing is recorded.</summary>
    public float* AttentionProjection;

    /// <summary>(T, C): projection plus the residual, what the first LayerNorm gets.</summary>
    public float* AttentionSum;

    /// <summary>(T, C): after the first LayerNorm.</summary>
    public float* AttentionOutput;

    /// <summary>(T, I): before the activation; null where nothing is trained.</summary>
    public float* PreActivation;

    /// <summary>(T, H): the logarithm of each row's sum of exponentials; null where nothing is trained.</summary>
    public float* LogSums;

    /// <summary>(T, I): after the activation; rows lie <see cref="IntermediateStride"/> numbers apart.</summary>
    public float* Intermediate;

    /// <summary>I where anything is kept, and otherwise perhaps more.</summary>
    public int IntermediateStride;

    /// <summary>(T, C): after the second map; null where nothing is recorded.</summary>
    public float* FeedForward;

    /// <summary>(T, C): feed-forward plus the residual, what the second LayerNorm gets; the memory of <see cref="AttentionSum"/> where nothing is recorded.</summary>
    public float* OutputSum;

    /// <summary>(T, C): after the second LayerNorm.</summary>
    public float* Output;

    /// <summary>What the attention weights, the attention projection and the feed-forward are multiplied by, while a model learns.</summary>
    public Dropout WeightsDropout, ProjectionDropout, FeedForwardDropout;

    /// <summary>Where the scores of each sequence start (B).</summary>
    public long* ScoreStarts;

    /// <summary>What an experiment changes in this layer; null for nothing.</summary>
    public LayerChange? Change;

    /// <summary>Room for each thread of flash attention.</summary>
    public float* Scratch;
}
