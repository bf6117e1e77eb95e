using Qkv.Kernels;
using Qkv.Parameters;

namespace Qkv.Tests.Reference;

/// <summary>
/// A whole BERT with its task heads, computed as Hugging Face computes it: padded, with float32's lowest value added to the
/// scores of hidden keys, padding rows included. Every tensor under Hugging Face's name.
/// </summary>
internal sealed class EncoderTwin
{
    private readonly EncoderConfig _config;
    private readonly ParameterSet _parameters;
    private readonly EncoderInputs _inputs;
    private readonly Precision _precision;
    private readonly Dictionary<string, double[]> _tensors = [];

    private EncoderTwin(EncoderConfig config, ParameterFile file, EncoderInputs inputs, Precision precision) =>
        (_config, _parameters, _inputs, _precision) = (config, ParameterSet.Resolve(file, config), inputs, precision);

    public static IReadOnlyDictionary<string, double[]> Forward(string directory, EncoderInputs inputs, Precision precision = Precision.Float32)
    {
        using ParameterFile file = ParameterFile.OpenDirectory(directory);
        var twin = new EncoderTwin(EncoderConfig.Load(directory), file, inputs, precision);
        double[] x = twin.Embed();
        for (int i = 0; i < twin._config.Layers; i++) x = twin.Layer(i, x);
        twin.Heads(x);
        return twin._tensors;
    }

    private double[] Embed()
    {
        double[] sum = LinearTwin.Add(LinearTwin.Add(Rows("word", _inputs.Ids), Rows("token_type", _inputs.TypeIds)), Rows("position", _inputs.Positions));
        return Keep("hidden_states.0", Keep("embeddings", Norm("embeddings.LayerNorm", Keep("embeddings_sum", sum))));

        double[] Rows(string table, int[] indices)
        {
            double[] rows = Read($"embeddings.{table}_embeddings.weight");
            return [.. indices.SelectMany(index => rows.Skip(index * _config.HiddenSize).Take(_config.HiddenSize))];
        }
    }

    private double[] Layer(int i, double[] x)
    {
        string name = $"layer.{i}.", stored = $"encoder.layer.{i}.";
        double[] q = Keep(name + "query", Map(stored + "attention.self.query", x));
        double[] k = Keep(name + "key", Map(stored + "attention.self.key", x));
        double[] v = Keep(name + "value", Map(stored + "attention.self.value", x));
        AttentionTwin[] sequences = [.. Enumerable.Range(0, _inputs.Sequences).Select(sequence => AttentionTwin.Forward(
            Of(q, sequence), Of(k, sequence), Of(v, sequence), _config.Heads, _config.HeadSize, new() { Additive = Mask(sequence) }))];
        Keep(name + "scores", [.. sequences.SelectMany(sequence => sequence.Scores)]);
        Keep($"attentions.{i}", [.. sequences.SelectMany(sequence => sequence.Weights)]);
        double[] context = Keep(name + "context", [.. sequences.SelectMany(sequence => sequence.Context)]);

        double[] attention = Keep(name + "attention_output",
            Norm(stored + "attention.output.LayerNorm", LinearTwin.Add(Map(stored + "attention.output.dense", context), x)));
        double[] intermediate = Keep(name + "intermediate", Activate(Map(stored + "intermediate.dense", attention)));
        double[] output = LinearTwin.Add(Map(stored + "output.dense", intermediate), attention);
        return Keep($"hidden_states.{i + 1}", Norm(stored + "output.LayerNorm", output));
    }

    private void Heads(double[] x)
    {
        Keep("last_hidden_state", x);
        double[] first = [.. Enumerable.Range(0, _inputs.Sequences).SelectMany(sequence => Of(x, sequence).Take(_config.HiddenSize))];
        double[]? pooled = Has("pooler.dense") ? Keep("pooler_output", ActivationTwin.Forward(Activation.Tanh, Map("pooler.dense", first))) : null;
        if (Has("cls.predictions.transform.dense"))
        {
            double[] transformed = Norm("cls.predictions.transform.LayerNorm", Activate(Map("cls.predictions.transform.dense", x)));
            Keep("prediction_logits", LinearTwin.Forward(transformed, Read("cls.predictions.decoder.weight"), Read("cls.predictions.bias")));
        }
        if (Has("cls.seq_relationship")) Keep("seq_relationship_logits", Map("cls.seq_relationship", pooled!));
        if (Has("classifier")) Keep("logits", Map("classifier", pooled ?? x));
        if (!Has("qa_outputs")) return;
        double[] spans = Map("qa_outputs", x);
        Keep("start_logits", [.. spans.Where((_, i) => i % 2 == 0)]);
        Keep("end_logits", [.. spans.Where((_, i) => i % 2 == 1)]);
    }

    private double[] Of(double[] rows, int sequence) => rows[(sequence * rows.Length / _inputs.Sequences)..((sequence + 1) * rows.Length / _inputs.Sequences)];

    private float[] Mask(int sequence) => [.. _inputs.Mask.Skip(sequence * _inputs.Length).Take(_inputs.Length).Select(keep => keep == 1 ? 0 : float.MinValue)];

    private double[] Map(string name, double[] x)
    {
        double[] w = Read(name + ".weight");
        return LinearTwin.Forward(x, _precision == Precision.BFloat16 ? [.. w.Select(HalfWidth.Round)] : w, Read(name + ".bias"));
    }

    private double[] Norm(string name, double[] x) => LayerNormTwin.Forward(x, Read(name + ".weight"), Read(name + ".bias"), _config.LayerNormEpsilon);

    private double[] Activate(double[] x) => ActivationTwin.Forward(ActivationFunctions.Parse(_config.Activation), x);

    private bool Has(string name) => _parameters.Find(name + ".weight") != null;

    private double[] Read(string name) => _parameters.File.ReadDoubles(_parameters.Require(name).Name);

    private double[] Keep(string name, double[] tensor) => _tensors[name] = tensor;
}
