using Qkv.Kernels;

namespace Qkv.Encoders;

/// <summary>
/// Where a forward pass drops numbers while a model learns, as in Hugging Face's BertModel: after the embeddings' LayerNorm, of the
/// attention weights, before each residual, and before a classifier. The default value drops nothing.
/// </summary>
/// <param name="Hidden">Rate for embeddings, attention projections and feed-forwards, from 0 to below 1.</param>
/// <param name="Attention">Rate for attention weights.</param>
/// <param name="Head">Rate for what enters a classifier.</param>
/// <param name="Key">Names the batch: what <see cref="At"/> makes of seed and step.</param>
internal readonly record struct DropoutPlan(double Hidden, double Attention, double Head, ulong Key = 0)
{
    private const int PlacesPerLayer = 3;

    public Dropout Embeddings => Of(Hidden, 0);

    public Dropout Classifier => Of(Head, 1);

    public Dropout Weights(int layer) => Of(Attention, 2 + layer * PlacesPerLayer);

    public Dropout Projection(int layer) => Of(Hidden, 3 + layer * PlacesPerLayer);

    public Dropout FeedForward(int layer) => Of(Hidden, 4 + layer * PlacesPerLayer);

    /// <summary>The draw of one batch of a run.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">The batch, counted from 1.</param>
    public DropoutPlan At(ulong seed, long step) => this with { Key = SplitMix.Mix(SplitMix.Mix(seed ^ SplitMix.Step) + (ulong)step * SplitMix.Step) };

    private Dropout Of(double rate, int place) => new(rate, SplitMix.Mix(Key + (ulong)(place + 1) * SplitMix.Step));
}
