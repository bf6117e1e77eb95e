using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Tests.Docs;
using Qkv.Tests.Reference;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>Linear maps held in fewer bits compute exactly what a model of the rounded parameters computes.</summary>
[Trait("Suite", "Numerical")]
public class PrecisionTests
{
    [Theory]
    [InlineData("bert-tiny", "batch")]
    [InlineData("bert-tiny", "leftpad")]
    [InlineData("bert-model-tiny", "batch")]
    public void bfloat16_is_right_to_rounding_for_the_rounded_parameters(string folder, string name)
    {
        using var golden = new GoldenFolder(folder);
        Model model = Model.Load(Golden.Path(folder), threads: 2, Precision.BFloat16);
        EncoderInputs inputs = EncoderInputs.Read(golden.Expected, name);
        TokenBatch batch = inputs.ToBatch();
        int features = model.Config.HiddenSize;
        string tensor = $"hidden_states.{model.Config.Layers}";
        double[] stored = EncoderTwin.Forward(Golden.Path(folder), inputs)[tensor], rounded = EncoderTwin.Forward(Golden.Path(folder), inputs, Precision.BFloat16)[tensor];
        double[] golden32 = golden.Expected.ReadDoubles($"{name}.{tensor}");
        // The reference was not run on rounded parameters: it may be as wrong there as on the stored ones.
        double[] reference = [.. rounded.Zip(golden32.Zip(stored, (number, truth) => number - truth), (truth, error) => truth + error)];
        float[] ours = HiddenStates.Of(model, batch);
        if (MachineTiles.HasBFloat16)
        {
            // Activations are rounded as well, by 2⁻⁸ at most, once for each product: of a layer six follow each other (Q and K, weights, V, projection, two maps); as they
            // do not all add up, a quarter of their sum is allowed.
            double[] truth = Packed(rounded);
            Exactness.Within($"{folder}/{name}.{tensor}", ours, truth, 6 * model.Config.Layers * Math.ScaleB(1, -8) / 4 * Exactness.Largest(truth));
            Assert.True(Distance(ours, truth) > 1e-4);
            return;
        }
        Exactness.Check($"{folder}/{name}.{tensor}", ours, Packed(reference).ToFloats(), Packed(rounded));
        // Rounding shows: a model that forgot it would be nearer to the stored parameters.
        Assert.True(Distance(ours, Packed(stored)) > 100 * Distance(ours, Packed(rounded)));

        double[] Packed(double[] rows) =>
            [.. Enumerable.Range(0, inputs.Sequences).SelectMany(sequence => rows.Skip(sequence * inputs.Length * features).Take(batch.Length(sequence) * features))];
    }

    [Fact]
    public void bfloat16_holds_linear_maps_in_half_the_memory()
    {
        string directory = Golden.Path("bert-tiny");
        TextEncoder whole = TextEncoder.Load(directory), half = TextEncoder.Load(directory, new() { Precision = Precision.BFloat16 });
        Assert.InRange(half.Model.Size, whole.Model.Size / 3, whole.Model.Size - 1);
    }

    [Fact]
    public void int8_holds_the_layers_in_a_quarter_of_the_memory_and_task_heads_whole()
    {
        string directory = Path.Combine(Document.Root, "models");
        TextEncoder whole = TextEncoder.Load(directory), quarter = TextEncoder.Load(directory, new() { Precision = Precision.Int8 });
        Assert.InRange((double)Layers(quarter) / Layers(whole), 0.25, 0.26);
        Assert.NotNull(quarter.Model.Heads.MaskedLanguage);
        Assert.Equal(whole.Model.Size - Layers(whole), quarter.Model.Size - Layers(quarter));

        static long Layers(TextEncoder encoder) => encoder.Model.Encoder.Layers.ToArray().SelectMany(layer => layer.LinearMaps).Sum(map => map.Matrix.Size);
    }

    [Fact]
    public void A_precision_that_there_is_not_is_an_argument_error()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => TextEncoder.Load(Golden.Path("bert-tiny"), new() { Precision = (Precision)9 }));
        Assert.Contains("Precision must be Float32, BFloat16 or Int8, but is 9", error.Message);
    }

    [Theory]
    [InlineData(0x3f80_0000u, 0x3f80)] // 1
    [InlineData(0x3f80_8000u, 0x3f80)] // a tie, down to even
    [InlineData(0x3f81_8000u, 0x3f82)] // a tie, up to even
    [InlineData(0x3f80_8001u, 0x3f81)]
    [InlineData(0xbfff_ffffu, 0xc000)] // into the next power of two
    [InlineData(0x8000_0000u, 0x8000)] // −0
    [InlineData(0x0000_8001u, 0x0001)] // a denormal
    [InlineData(0x7f7f_ffffu, 0x7f80)] // overflow
    [InlineData(0x7f80_0000u, 0x7f80)] // ∞
    [InlineData(0xff80_0000u, 0xff80)]
    [InlineData(0x7f80_0001u, 0x7fc0)] // NaN, whose bits are all in the lower half
    [InlineData(0xffff_ffffu, 0xffff)]
    public void Rounding_takes_the_nearest(uint bits, int expected)
    {
        float value = BitConverter.UInt32BitsToSingle(bits);
        Assert.Equal((ushort)expected, BFloat16.Round(value));
        if (float.IsFinite(value)) Assert.Equal(BitConverter.UInt32BitsToSingle((uint)expected << 16), (float)HalfWidth.Round(value));
    }

    private static double Distance(float[] ours, double[] truth) => ours.Zip(truth, (a, b) => Math.Abs(a - b)).Max();
}
