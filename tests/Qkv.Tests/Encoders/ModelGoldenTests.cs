using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

public class Probe
{
    [Fact]
    public void Runs()
    {
        string root = Path.Combine(AppContext.BaseDirectory, "Golden");
        foreach (string dir in Directory.GetDirectories(root, "bert-*").Order())
        {
            string exp = Path.Combine(dir, "expected.safetensors");
            if (!File.Exists(exp)) continue;
            Model model = Model.Load(dir, 2);
            using ParameterFile e = ParameterFile.Open(exp);
            foreach (string c in new[] { "batch", "single", "leftpad", "positions" })
            {
                if (!e.Parameters.ContainsKey(c + ".inputs.input_ids")) continue;
                long[]? I(string n) { if (!e.Parameters.TryGetValue($"{c}.inputs.{n}", out var p)) return null; var r = new long[p.Count]; e.ReadInt64(p.Name, 0, r); return r; }
                var shape = e.Parameters[c + ".inputs.input_ids"].Shape;
                int l = (int)shape[^1], b = (int)(e.Parameters[c + ".inputs.input_ids"].Count / l);
                long[] ids = I("input_ids")!; long[]? mask = I("attention_mask"), types = I("token_type_ids"), pos = I("position_ids");
                var batch = new TokenBatch();
                int[] S(long[]? x, int i) => x == null ? [] : x.Skip(i * l).Take(l).Select(v => (int)v).ToArray();
                for (int i = 0; i < b; i++) batch.Add(S(ids, i), S(types, i), S(pos, i), S(mask, i));
                var trace = new AttentionTrace(model, batch, l, shape.Count == 3 ? (int)shape[1] : 1);
                foreach (var (g, mine) in new[] { ("embeddings", "embeddings"), ("hidden_states.1", "layers.0.output"), ("layer.0.context", "layers.0.context"), ("attentions.0", "layers.0.weights"), ($"hidden_states.{model.Config.Layers}", "last_hidden_state"), ("prediction_logits", "prediction_logits"), ("logits", "logits"), ("start_logits", "start_logits"), ("pooler_output", "pooler_output"), ("seq_relationship_logits", "seq_relationship_logits") })
                {
                    if (!e.Parameters.TryGetValue($"{c}.{g}", out var p) || !trace.Contains(mine)) continue;
                    var want = new float[p.Count]; e.Read(p.Name, 0, want);
                    float[] got = trace[mine].ToFloats();
                    float err = 0; for (int i = 0; i < want.Length; i++) if (got[i] != 0) err = Math.Max(err, Math.Abs(got[i] - want[i]));
                    Console.WriteLine($"{Path.GetFileName(dir)} {c} {g}: {err:g3} {string.Join(',', p.Shape)} vs {string.Join(',', trace[mine].Shape)}");
                }
            }
        }
    }
}
