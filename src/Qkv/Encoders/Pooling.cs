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

/// <summary>
/// Pooling upward: the gradients of the vectors (B, C) become those of the hidden states (T, C), which are overwritten. A largest value
/// passes its gradient to the first token that has it.
/// </summary>
/// <param name="pooling">How it was pooled.</param>
/// <param name="features">C</param>
/// <param name="tokens">The sequences.</param>
/// <param name="hidden">(T, C), what was pooled.</param>
/// <param name="dpooled">(B, C)</param>
/// <param name="dhidden">(T, C)</param>
internal readonly unsafe struct PoolingBackward(Pooling pooling, int features, TokenSlice tokens, float* hidden, float* dpooled, float* dhidden) : IKernel
{
    private readonly float* _hidden = hidden, _dpooled = dpooled, _dhidden = dhidden;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<V>(int part, int worker) where V : struct, ISimd<V>
    {
        int start = tokens.Start(part), length = tokens.Length(part), count = 0;
        float* dy = _dpooled + (nint)part * features;
        new Span<float>(_dhidden + (nint)start * features, length * features).Clear();
        for (int token = start; token < start + length; token++) count += IsVisible(token) ? 1 : 0;
        if (count == 0) return;
        if (pooling == Pooling.Max)
        {
            for (int i = 0; i < features; i++) _dhidden[(nint)Largest(start, start + length, i) * features + i] = dy[i]; // pooled = max x
            return;
        }
        for (int token = start; token < start + length; token++)
        {
            if (!IsVisible(token)) continue;
            Elementwise.AddScaled<V>(dy, pooling == Pooling.Mean ? 1f / count : 1f, _dhidden + (nint)token * features, features); // pooled = Σ x / count
            if (pooling == Pooling.Cls) return; // pooled = x of the first
        }
    }

    private bool IsVisible(int token) => tokens.HiddenKeys == null || tokens.HiddenKeys[token] == 0 || pooling == Pooling.Cls;

    private int Largest(int start, int end, int feature)
    {
        int best = -1;
        for (int token = start; token < end; token++)
            if (IsVisible(token) && (best < 0 || _hidden[(nint)token * features + feature] > _hidden[(nint)best * features + feature])) best = token;
        return best;
    }
}
