using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>One layer: attention lets the tokens exchange information, the feed-forward works on each alone; a residual runs around both.</summary>
internal sealed unsafe class EncoderLayer(SelfAttention attention, Linear projection, Normalization attentionNorm, FeedForward feedForward, Normalization outputNorm)
{
    /// <summary>x (T, C) → a.Output (T, C)</summary>
    public void Forward(in TokenSlice tokens, float* x, in LayerActivations a, int threads)
    {
        attention.Forward(tokens, x, a, threads); //                                                        Q, K, V → scores → weights → context
        Residual.Add(projection, a.Context, projection.Inputs, tokens.Tokens, x, a.AttentionProjection, a.AttentionSum, a.ProjectionDropout, threads); // sum = projection(context) + x
        attentionNorm.Forward(a.AttentionSum, tokens.Tokens, a.AttentionOutput, threads); //                attention_output = LayerNorm(sum)
        feedForward.Forward(a.AttentionOutput, tokens.Tokens, a, threads); //                               sum = feed_forward(attention_output) + attention_output
        outputNorm.Forward(a.OutputSum, tokens.Tokens, a.Output, threads); //                               output = LayerNorm(sum)
    }

    /// <summary>The same lines upward: dOutput = g.Output (T, C) → dx = g.Output (T, C), where <paramref name="wantsInput"/> says that somebody learns from it.</summary>
    public void Backward(in TokenSlice tokens, float* x, in LayerActivations a, in LayerGradients g, bool wantsInput, int threads)
    {
        int rows = tokens.Tokens;
        outputNorm.Backward(a.OutputSum, rows, g.Output, g.Sum, g.Moments, threads); //             output = LayerNorm(sum)
        feedForward.Backward(a.AttentionOutput, rows, a, g, g.Sum, g.Output, threads); //           sum = feed_forward(attention_output) + attention_output
        attentionNorm.Backward(a.AttentionSum, rows, g.Output, g.Sum, g.Moments, threads); //       attention_output = LayerNorm(sum)
        Residual.Backward(projection, a.Context, rows, g.Sum, g.Context, g.Output, a.ProjectionDropout, threads); // sum = projection(context) + x
        attention.Backward(tokens, x, a, g, wantsInput ? g.Output : null, threads); //              Q, K, V → scores → weights → context
    }

    public SelfAttention Attention => attention;

    public Linear Projection => projection;

    public Normalization AttentionNorm => attentionNorm;

    public Normalization OutputNorm => outputNorm;

    /// <summary>Whether a training run changes this layer.</summary>
    public bool Learns => feedForward.First.Learned is [{ W.IsFrozen: false }, ..];

    public IEnumerable<Linear> LinearMaps => [attention.QueriesKeysValues, projection, feedForward.First, feedForward.Second];

    public IEnumerable<Normalization> Normalizations => [attentionNorm, outputNorm];
}
