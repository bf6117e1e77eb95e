using System.Runtime.CompilerServices;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>How the hidden states of a text become one vector.</summary>
public enum Pooling
{
    /// <summary>The mean over all visible tokens.</summary>
    Mean,

    /// <summary>The hidden state of the first token, [CLS].</summary>
    Cls,

    /// <summary>The largest value of each feature over all visible tokens.</summary>
    Max,
}

/// <summary>Pools each sequence of a slice: (T, C) → (B, C) [→ the first <c>kept</c> numbers to unit length]. A sequence without visible tokens gives zeros.</summary>
internal unsafe struct PoolingReceiver(Pooling pooling, bool normalize, int features, int kept, float* output, int threads) : IReceiver
{
    private readonly float* _output = output; // (B of the whole batch, C)

    public readonly void Receive(in TokenSlice tokens, float* hidden) =>
        Workers.Run(new Sequences(pooling, normalize, features, kept, tokens, hidden, _output + (nint)tokens.FirstSequence * features), tokens.Sequences, threads);

    private readonly struct Sequences(Pooling pooling, bool normalize, int features, int kept, TokenSlice tokens, float* hidden, float* output) : IKernel
    {
        private readonly float* _hidden = hidden, _output = output;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int start = tokens.Start(part), end = start + tokens.Length(part), count = 0;
            float* pooled = _output + (nint)part * features;
            new Span<float>(pooled, features).Clear();
            for (int token = start; token < end; token++)
            {
                if (tokens.HiddenKeys != null && tokens.HiddenKeys[token] != 0 && pooling != Pooling.Cls) continue;
                float* row = _hidden + (nint)token * features;
                if (count++ == 0) new ReadOnlySpan<float>(row, features).CopyTo(new Span<float>(pooled, features));
                else if (pooling == Pooling.Mean) Elementwise.Add<V>(pooled, row, pooled, features);
                else Elementwise.Max<V>(pooled, row, pooled, features);
                if (pooling == Pooling.Cls) break;
            }
            if (pooling == Pooling.Mean && count > 1) Elementwise.Scale<V>(pooled, features, 1f / count);
            if (normalize) Normalize<V>(pooled, kept);
        }
    }

    /// <summary>x / max(‖x‖, 1e-12), as <c>torch.nn.functional.normalize</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Normalize<V>(float* x, int count) where V : struct, ISimd<V>
    {
        float length = MathF.Sqrt(Elementwise.Dot<V>(x, x, count));
        Elementwise.Scale<V>(x, count, 1f / MathF.Max(length, 1e-12f));
    }
}
