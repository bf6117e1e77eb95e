using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.Parameters;
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
        private readonly ParameterFile _expected, _expected64;
        private readonly TokenBatch _batch = new();
        private readonly List<int> _places = [], _targets = [];
        private readonly float[] _labels = [];

        public Run(string folder)
        {
            string directory = Golden.Path(folder);
            Model = new TrainableModel(directory, 2);
            _expected = ParameterFile.Open(Path.Combine(directory, "expected.safetensors"));
            _expected64 = ParameterFile.Open(Path.Combine(directory, "expected_f64.safetensors"));
            int[] ids = Integers("inputs.input_ids"), mask = Integers("inputs.attention_mask"), types = Integers("inputs.token_type_ids");
            int length = (int)_expected.Parameters["inputs.input_ids"].Shape[1];
            bool tokens = Model.Heads.MaskedLanguage != null;
            int[] labels = _expected.Parameters["inputs.labels"].Type == ElementType.I64 ? Integers("inputs.labels") : [];
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
            if (!tokens) _labels = labels.Length > 0 ? [.. labels.Select(label => (float)label)] : _expected.ReadAll("inputs.labels");
        }

        public TrainableModel Model { get; }

        public static string Stored(Parameter parameter) => TrainableModel.StoredName(parameter.Name);

        public double Learn()
        {
            if (_labels.Length == 0) return new MaskedLanguageStep(Model, _batch.Tokens).Run(_batch, _places, _targets, learn: true).Sum / _targets.Count;
            SequenceLossKind kind = Model.Config.NumLabels == 1 ? SequenceLossKind.Regression : SequenceLossKind.SingleLabel;
            return new SequenceStep(Model, _batch.Tokens).Run(_batch, kind, _labels);
        }

        public void Check(string name, ReadOnlySpan<float> ours)
        {
            float[] golden = _expected.ReadAll(name);
            double[] truth = new double[golden.Length];
            _expected64.ReadBytes(name, 0, System.Runtime.InteropServices.MemoryMarshal.AsBytes(truth.AsSpan()));
            double error = 0, allowed = 0, largest = 1;
            for (int i = 0; i < truth.Length; i++)
            {
                error = Math.Max(error, Math.Abs(ours[i] - truth[i]));
                allowed = Math.Max(allowed, Math.Abs(golden[i] - truth[i]));
                largest = Math.Max(largest, Math.Abs(truth[i]));
            }
            Assert.True(error <= 2 * allowed + 1e-6 * largest, $"{name}: error {error:g3}, PyTorch's own is {allowed:g3}.");
        }

        public void Dispose()
        {
            _expected.Dispose();
            _expected64.Dispose();
        }

        private int[] Integers(string name)
        {
            var numbers = new long[_expected.Parameters[name].Count];
            _expected.ReadInt64(name, 0, numbers);
            return [.. numbers.Select(number => (int)number)];
        }
    }
}
