using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv;

/// <summary>
/// One thing that a trace does otherwise than the model, to see what hangs on it. Tokens are the rows of the sequence, layers and heads
/// count from 0. What changes nothing (a temperature of 1, a key swapped with itself) leaves every bit of the trace as it was.
/// </summary>
public sealed class Intervention
{
    private readonly Action<Changes> _apply;

    private Intervention(Action<Changes> apply) => _apply = apply;

    /// <summary>The embeddings leave the position out, so that nothing knows the order of the tokens.</summary>
    public static Intervention WithoutPositions() => new(changes => changes.WithoutPositions = true);

    /// <summary>A head's weights become 0 after the softmax: it adds exactly nothing to the context.</summary>
    public static Intervention DisableHead(int layer, int head) => new(changes =>
    {
        foreach (int one in changes.Heads(head)) changes.In(layer).Disable(one);
    });

    /// <summary>A layer is left out: its output is what comes in, and all its other tensors are 0.</summary>
    public static Intervention DisableLayer(int layer) => new(changes => changes.In(layer).Disabled = true);

    /// <summary>No token looks at this one, in any layer; it keeps its row and its position.</summary>
    public static Intervention HideToken(int token) => new(changes =>
    {
        changes.CheckToken(token);
        foreach (LayerChange layer in changes.In(layer: null)) layer.Hide(token);
    });

    /// <summary>Scores are divided by a temperature before the softmax: above 1 weights grow alike, below 1 they sharpen.</summary>
    /// <param name="value">From 10⁻⁶ to 10⁶; where several meet in a head they multiply, within the same bounds.</param>
    /// <param name="layer">The layer, or null for all.</param>
    /// <param name="head">The head, or null for all.</param>
    /// <exception cref="ArgumentException">The temperature is outside these bounds.</exception>
    public static Intervention Temperature(float value, int? layer = null, int? head = null)
    {
        if (!(value >= LayerChange.LowestTemperature && value <= LayerChange.HighestTemperature))
            throw new ArgumentException($"A temperature must be above 0, from {LayerChange.LowestTemperature} to {LayerChange.HighestTemperature}, but is {value}.", nameof(value));
        return new(changes =>
        {
            foreach (LayerChange change in changes.In(layer))
                foreach (int one in changes.Heads(head)) change.Heat(one, value);
        });
    }

    /// <summary>Two rows of the keys change places, and those of the values with them. Attention knows no order: the context stays, to rounding.</summary>
    /// <param name="first">A token.</param>
    /// <param name="second">A token.</param>
    /// <param name="layer">The layer, or null for all.</param>
    public static Intervention SwapKeys(int first, int second, int? layer = null) => new(changes =>
    {
        changes.CheckToken(first);
        changes.CheckToken(second);
        foreach (LayerChange change in changes.In(layer)) change.Swap(first, second);
    });

    /// <summary>Cross-attention within the sequence: some tokens look only at others, as those of sentence A only at those of sentence B.</summary>
    /// <param name="queries">The tokens that look.</param>
    /// <param name="keys">What they look at; where that is nothing, their context is 0.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="head">The head, or null for all.</param>
    public static Intervention CrossAttention(IReadOnlyCollection<int> queries, IReadOnlyCollection<int> keys, int layer, int? head = null)
    {
        ArgumentNullException.ThrowIfNull(queries);
        var visible = new HashSet<int>(keys);
        return new(changes =>
        {
            foreach (int token in queries.Concat(visible)) changes.CheckToken(token);
            foreach (int one in changes.Heads(head)) changes.In(layer).Restrict(one, queries, visible);
        });
    }

    /// <summary>All of them, or null for none.</summary>
    internal static Changes? Combine(EncoderConfig config, TokenBatch batch, IReadOnlyList<Intervention>? interventions, CancellationToken cancellation = default)
    {
        if (interventions is null or { Count: 0 }) return null;
        if (batch.Sequences != 1) throw new ArgumentException($"Interventions name tokens of one sequence, but the batch has {batch.Sequences}.", nameof(interventions));
        var changes = new Changes(config, batch);
        foreach (Intervention intervention in interventions)
        {
            cancellation.ThrowIfCancellationRequested();
            ArgumentNullException.ThrowIfNull(intervention, nameof(interventions));
            intervention._apply(changes);
        }
        return changes;
    }
}
