using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.Parameters;
using Qkv.Text;

namespace Qkv.Tests.Training;

public unsafe class GradientGoldenTests
{
    [Fact]
    public void Mlm()
    {
        string dir = Golden.Path("gradients-mlm");
        using ParameterFile file = ParameterFile.OpenDirectory(dir), e32 = ParameterFile.Open(Path.Combine(dir, "expected.safetensors")), e64 = ParameterFile.Open(Path.Combine(dir, "expected_f64.safetensors"));
        var reader = new ModelReader(ParameterSet.Resolve(file, EncoderConfig.Load(dir)), train: true);
        Encoder encoder = reader.ReadEncoder(2);
        TaskHeads heads = reader.ReadHeads(encoder.Embedding.Words);
        int[] I(string n) { var r = new long[e32.Parameters["inputs." + n].Count]; e32.ReadInt64("inputs." + n, 0, r); return [.. r.Select(x => (int)x)]; }
        int[] ids = I("input_ids"), mask = I("attention_mask"), types = I("token_type_ids"), labels = I("labels");
        var batch = new TokenBatch();
        var rows = new List<int>(); var targets = new List<int>();
        for (int s = 0; s < 3; s++)
        {
            int start = batch.Tokens;
            batch.Add(ids.AsSpan(s * 13, 13), types.AsSpan(s * 13, 13), default, mask.AsSpan(s * 13, 13));
            for (int t = 0; t < batch.Length(s); t++) if (labels[s * 13 + t] >= 0) { rows.Add(start + t); targets.Add(labels[s * 13 + t]); }
        }
        int c = encoder.Config.HiddenSize;
        var a = Activations.ToTrain(encoder.Config, batch.Tokens, 2);
        var g = new LayerGradients(encoder.Config, batch.Tokens, 2);
        TokenSlice slice = batch.Slice(0, 3);
        float* hidden = encoder.Forward(slice, a);
        var picked = new float[rows.Count * c]; var dpicked = new float[rows.Count * c];
        for (int i = 0; i < rows.Count; i++) new ReadOnlySpan<float>(hidden + rows[i] * c, c).CopyTo(picked.AsSpan(i * c));
        var loss = heads.MaskedLanguage!.Loss(picked, targets.ToArray(), 1f / rows.Count, dpicked, 2);
        new Span<float>(g.Output, batch.Tokens * c).Clear();
        for (int i = 0; i < rows.Count; i++) dpicked.AsSpan(i * c, c).CopyTo(new Span<float>(g.Output + rows[i] * c, c));
        encoder.Backward(slice, a, g);
        Console.WriteLine($"loss {loss.Sum / rows.Count} expected {e64.ReadAll("loss")[0]}");
        foreach (Parameter p in reader.Learned)
        {
            string name = e64.Parameters.ContainsKey("grad." + p.Name) ? "grad." + p.Name : "grad.bert." + p.Name;
            if (!e64.Parameters.ContainsKey(name)) { Console.WriteLine("none " + p.Name); continue; }
            float[] want = e64.ReadAll(name), ref32 = e32.ReadAll(name); float err = 0, ref_ = 0, max = 0;
            for (int i = 0; i < want.Length; i++) { err = Math.Max(err, Math.Abs(want[i] - p.Gradient.Span[i])); ref_ = Math.Max(ref_, Math.Abs(want[i] - ref32[i])); max = Math.Max(max, Math.Abs(want[i])); }
            Console.WriteLine($"{p.Name} {err:g3} torch {ref_:g3} max {max:g3} {(err > 2 * ref_ + 1e-6 * Math.Max(1, max) ? "BAD" : "")}");
        }
    }
}
