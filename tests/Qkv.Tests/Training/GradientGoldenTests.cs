using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.Reference;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>Gradients, and five steps of AdamW, against PyTorch in float32 and float64 (the design's third rule).</summary>
[Trait("Suite", "Numerical")]
public class GradientGoldenTests
{
    private sealed record Case(string Folder, AdamW Optimizer, double Rate, double Clip);

    private static readonly Case[] s_cases =
    [
        new("gradients-mlm", new AdamW(0.9, 0.999, 1e-8, 0.01) { DecaysAll = true }, 0.001, double.PositiveInfinity),
        new("gradients-classification", new AdamW(0.9, 0.999, 1e-8, 0.01) { DecaysAll = true }, 0.001, double.PositiveInfinity),
        new("gradients-clipped", new AdamW(0.8, 0.99, 1e-8, 0.1) { DecaysAll = true }, 0.0003, 1),
    ];

    public static TheoryData<string> Folders => [.. s_cases.Select(item => item.Folder)];

    [Theory]
    [MemberData(nameof(Folders))]
    public void Gradients_are_right_to_rounding(string folder)
    {
        using var run = new Run(folder);
        double loss = run.Learn();
        run.Check("loss", [(float)loss]);
        foreach (Parameter parameter in run.Model.Parameters) run.Check($"grad.{Run.Stored(parameter)}", parameter.Gradient.Span);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void The_twin_agrees_with_PyTorch_in_float64(string folder)
    {
        using var run = new Run(folder);
        var twin = new ModelTwin<double>(run.Model);
        var tape = new Tape<double>();
        Node<double> loss = run.Loss(twin, tape);
        tape.Backward(loss);
        run.CheckTwin("loss", loss.Values);
        foreach (Parameter parameter in run.Model.Parameters) run.CheckTwin($"grad.{Run.Stored(parameter)}", twin.Parameters[parameter.Name].Gradient);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Five_steps_of_AdamW_end_where_PyTorch_ends(string folder)
    {
        Case item = s_cases.Single(item => item.Folder == folder);
        using var run = new Run(folder);
        var norms = new List<float>();
        for (int step = 1; step <= 5; step++)
        {
            run.Learn();
            double norm = AdamW.GradientNorm(run.Model.Parameters, 2);
            norms.Add((float)norm);
            float scale = (float)Math.Min(1, item.Clip / (norm + 1e-6));
            foreach (Parameter parameter in run.Model.Parameters) item.Optimizer.Step(parameter, step, item.Rate, scale, 2);
            run.Model.Refresh();
        }
        run.Check("train.grad_norms", [.. norms]);
        foreach (Parameter parameter in run.Model.Parameters)
        {
            // The true gradient of a key bias is zero; Adam turns the noise of rounding into steps of up to the learning rate.
            if (parameter.Name.EndsWith("key.bias", StringComparison.Ordinal)) continue;
            run.Check($"final.{Run.Stored(parameter)}", parameter.Value.Span);
        }
    }

    /// <summary>A folder's model, batch and expectations.</summary>
    private sealed class Run : IDisposable
    {
        private readonly GoldenFolder _golden;
        private readonly TokenBatch _batch = new();
        private readonly List<int> _places = [], _targets = [];
        private readonly float[] _labels = [];

        public Run(string folder)
        {
            Model = new TrainableModel(Golden.Path(folder), 2);
            _golden = new GoldenFolder(folder);
            ParameterFile expected = _golden.Expected;
            int[] ids = expected.ReadIntegers("inputs.input_ids"), mask = expected.ReadIntegers("inputs.attention_mask"), types = expected.ReadIntegers("inputs.token_type_ids");
            int length = (int)expected.Parameters["inputs.input_ids"].Shape[1];
            bool tokens = Model.Heads.MaskedLanguage != null;
            int[] labels = expected.Parameters["inputs.labels"].Type == ElementType.I64 ? expected.ReadIntegers("inputs.labels") : [];
            for (int first = 0; first < ids.Length; first += length)
            {
                int start = _batch.Tokens;
                _batch.Add(ids.AsSpan(first, length), types.AsSpan(first, length), default, mask.AsSpan(first, length));
                for (int i = 0; tokens && i < _batch.Length(_batch.Sequences - 1); i++)
                {
                    if (labels[first + i] < 0) continue;
                    _places.Add(start + i);
                    _targets.Add(labels[first + i]);
                }
            }
            if (!tokens) _labels = labels.Length > 0 ? [.. labels.Select(label => (float)label)] : _golden["inputs.labels"];
        }

        public TrainableModel Model { get; }

        private SequenceLossKind Kind => Model.Config.NumLabels == 1 ? SequenceLossKind.Regression : SequenceLossKind.SingleLabel;

        public static string Stored(Parameter parameter) => TrainableModel.StoredName(parameter.Name);

        public double Learn()
        {
            if (_labels.Length == 0) return new MaskedLanguageStep(Model, _batch.Tokens).Run(_batch, _places, _targets, learn: true).Sum / _targets.Count;
            return new SequenceStep(Model, _batch.Tokens).Run(_batch, Kind, _labels);
        }

        public Node<double> Loss(ModelTwin<double> twin, Tape<double> tape)
        {
            Node<double> hidden = twin.Encode(tape, _batch, default);
            if (_labels.Length == 0) return twin.MaskedLanguageLoss(tape, hidden, [.. _places], [.. _targets]);
            return twin.SequenceLoss(tape, hidden, _batch, Kind, _labels, 0, default);
        }

        public void CheckTwin(string name, double[] twin) => Exactness.CheckTwin(name, twin, _golden.Truth(name));

        public void Check(string name, ReadOnlySpan<float> ours) => Exactness.Check(name, ours, _golden[name], _golden.Truth(name));

        public void Dispose() => _golden.Dispose();
    }
}
