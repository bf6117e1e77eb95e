using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>Keeps the last hidden states (T, C) of a batch.</summary>
internal readonly unsafe struct HiddenStates(float[] rows, int features) : IReceiver
{
    public void Receive(in TokenSlice tokens, float* hidden) =>
        new ReadOnlySpan<float>(hidden, tokens.Tokens * features).CopyTo(rows.AsSpan(tokens.Starts[0] * features));

    /// <summary>The hidden states of a batch, by flash attention.</summary>
    public static float[] Of(Model model, TokenBatch batch)
    {
        int features = model.Config.HiddenSize;
        var rows = new float[batch.Tokens * features];
        var receiver = new HiddenStates(rows, features);
        model.Encoder.Forward(batch, ref receiver);
        return rows;
    }
}
