using System.Numerics;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Reference;

/// <summary>A whole BERT with its trained heads on a <see cref="Tape{T}"/>, from packed sequences to the loss, with dropout.</summary>
internal sealed class ModelTwin<T>(EncoderConfig config, IReadOnlyDictionary<string, Node<T>> parameters) where T : struct, IFloatingPointIeee754<T>
{
    public ModelTwin(TrainableModel model)
        : this(model.Config, model.Parameters.ToDictionary(parameter => parameter.Name, parameter => Tape<T>.Of(parameter.Value.Span.ToArray(), (int)parameter.Shape[^1])))
    {
    }

    public IReadOnlyDictionary<string, Node<T>> Parameters => parameters;

    /// <summary>The last hidden states (T, C).</summary>
    public Node<T> Encode(Tape<T> tape, TokenBatch batch, DropoutPlan plan)
    {
        Node<T> sum = tape.Add(tape.Add(
            tape.Rows(parameters["embeddings.word_embeddings.weight"], batch.Ids.ToArray(), config.PadTokenId),
            tape.Rows(parameters["embeddings.token_type_embeddings.weight"], batch.TypeIds.ToArray())),
            tape.Rows(parameters["embeddings.position_embeddings.weight"], batch.Positions.ToArray()));
        Node<T> x = tape.Drop(Normalize(tape, "embeddings.LayerNorm", sum), plan.Embeddings);
        for (int layer = 0; layer < config.Layers; layer++) x = Layer(tape, layer, x, batch, plan);
        return x;
    }

    /// <summary>Mean cross entropy of the masked places.</summary>
    public Node<T> MaskedLanguageLoss(Tape<T> tape, Node<T> hidden, int[] places, int[] targets)
    {
        Node<T> transformed = tape.Activate(ActivationFunctions.Parse(config.Activation), Map(tape, "cls.predictions.transform.dense", tape.Rows(hidden, places)));
        Node<T> decoder = parameters.GetValueOrDefault("cls.predictions.decoder.weight") ?? parameters["embeddings.word_embeddings.weight"];
        return tape.CrossEntropy(tape.Linear(Normalize(tape, "cls.predictions.transform.LayerNorm", transformed), decoder, parameters["cls.predictions.bias"]), targets);
    }

    /// <summary>Loss of one answer a sequence.</summary>
    public Node<T> SequenceLoss(Tape<T> tape, Node<T> hidden, TokenBatch batch, SequenceLossKind kind, float[] targets, double smoothing, DropoutPlan plan)
    {
        Node<T> pooled = tape.Activate(Activation.Tanh, Map(tape, "pooler.dense", tape.Rows(hidden, batch.Starts[..^1].ToArray())));
        return tape.Loss(kind, Map(tape, "classifier", tape.Drop(pooled, plan.Classifier)), targets, smoothing);
    }

    /// <summary>Loss of one answer a token.</summary>
    public Node<T> TokenLoss(Tape<T> tape, Node<T> hidden, int[] targets, double smoothing, DropoutPlan plan) =>
        tape.CrossEntropy(Map(tape, "classifier", tape.Drop(hidden, plan.Classifier)), targets, smoothing);

    private Node<T> Layer(Tape<T> tape, int layer, Node<T> x, TokenBatch batch, DropoutPlan plan)
    {
        string name = $"encoder.layer.{layer}.";
        int[] starts = batch.Starts.ToArray();
        Node<T> context = tape.Attention(
            Map(tape, name + "attention.self.query", x), Map(tape, name + "attention.self.key", x), Map(tape, name + "attention.self.value", x), config.Heads, starts, starts,
            (sequence, _, _, key) => batch.IsHidden(starts[sequence] + key) ? double.NegativeInfinity : 0,
            (sequence, head, query, key) => Factor(plan.Weights(layer), sequence, head, config.Heads, query, key));
        Node<T> attention = Normalize(tape, name + "attention.output.LayerNorm", tape.Add(tape.Drop(Map(tape, name + "attention.output.dense", context), plan.Projection(layer)), x));
        Node<T> intermediate = tape.Activate(ActivationFunctions.Parse(config.Activation), Map(tape, name + "intermediate.dense", attention));
        return Normalize(tape, name + "output.LayerNorm", tape.Add(tape.Drop(Map(tape, name + "output.dense", intermediate), plan.FeedForward(layer)), attention));
    }

    /// <summary>What dropout draws for one attention weight.</summary>
    public static unsafe double Factor(Dropout dropout, int sequence, int head, int heads, int query, int key)
    {
        float factor = 1;
        if (dropout.IsOn) dropout.Factors(Dropout.Row(sequence, head, heads, query), key, 1, &factor);
        return factor;
    }

    private Node<T> Map(Tape<T> tape, string name, Node<T> x) => tape.Linear(x, parameters[name + ".weight"], parameters[name + ".bias"]);

    private Node<T> Normalize(Tape<T> tape, string name, Node<T> x) => tape.LayerNorm(x, parameters[name + ".weight"], parameters[name + ".bias"], (float)config.LayerNormEpsilon);
}
