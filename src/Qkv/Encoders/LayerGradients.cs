using Qkv.Kernels;
using Qkv.Parameters;

namespace Qkv.Encoders;

/// <summary>The gradients on their way up, for up to T tokens: every layer uses the same memory. Names are those of the intermediates.</summary>
internal readonly unsafe struct LayerGradients
{
    private readonly AlignedBuffer _memory;

    public LayerGradients(EncoderConfig config, int tokens, int threads)
    {
        long row = (long)tokens * config.HiddenSize;
        _memory = new AlignedBuffer(6 * row + (long)tokens * config.IntermediateSize + 2L * tokens + threads * FlashAttention.BackwardScratchSize(config.HeadSize));
        Output = _memory.Pointer;
        Sum = Output + row;
        Context = Sum + row;
        QueriesKeysValues = Context + row;
        Intermediate = QueriesKeysValues + 3 * row;
        Moments = Intermediate + (long)tokens * config.IntermediateSize;
        Scratch = Moments + 2L * tokens;
    }

    /// <summary>(T, C): of a layer's output, and then of its input.</summary>
    public float* Output { get; }

    /// <summary>(T, C)</summary>
    public float* Sum { get; }

    /// <summary>(T, C)</summary>
    public float* Context { get; }

    /// <summary>(T, 3·C)</summary>
    public float* QueriesKeysValues { get; }

    /// <summary>(T, I)</summary>
    public float* Intermediate { get; }

    /// <summary>(T, 2): scratch of LayerNorm's backward.</summary>
    public float* Moments { get; }

    /// <summary>Room for each thread of attention's backward.</summary>
    public float* Scratch { get; }
}
