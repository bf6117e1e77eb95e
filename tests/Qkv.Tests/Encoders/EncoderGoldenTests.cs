using System.Text.RegularExpressions;
using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.Reference;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>Every tensor that Hugging Face's BERT gives, in every container and with every task head.</summary>
[Trait("Suite", "Numerical")]
public partial class EncoderGoldenTests
{
    /// <summary>Model folder, folder of the expected values, case.</summary>
    public static TheoryData<string, string, string> Cases()
    {
        TheoryData<string, string, string> cases = [];
        string[] tiny = ["batch", "single", "leftpad", "positions"];
        foreach (string folder in (string[])["bert-tiny", "bert-tiny-bin", "bert-tiny-sharded", "bert-tiny-legacy-names"])
            foreach (string name in tiny) cases.Add(folder, "bert-tiny", name);
        foreach (string name in (string[])["batch", "single"]) cases.Add("bert-model-tiny", "bert-model-tiny", name);
        foreach (string kind in (string[])["tiny-f16", "tiny-bf16", "tiny-gelu-new", "tiny-relu", "multilabel", "regression",
            "sequence-classification", "token-classification", "question-answering", "multiple-choice"])
            cases.Add("bert-" + kind, "bert-" + kind, "batch");
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_tensor_equals_Hugging_Face(string folder, string expected, string name)
    {
        using var golden = new GoldenFolder(expected);
        Model model = Model.Load(Golden.Path(folder), threads: 2);
        EncoderInputs inputs = EncoderInputs.Read(golden.Expected, name);
        IReadOnlyDictionary<string, double[]> twin = EncoderTwin.Forward(Golden.Path(folder), inputs);
        IReadOnlyList<long> shape = golden.Expected.Parameters[name + ".inputs.input_ids"].Shape;
        var trace = new AttentionTrace(model, inputs.ToBatch(), inputs.Length, choices: shape.Count == 3 ? (int)shape[1] : 1);

        string[] tensors = [.. golden.Expected.Parameters.Keys
            .Where(tensor => tensor.StartsWith(name + ".", StringComparison.Ordinal) && !NotComputed().IsMatch(tensor)).Select(tensor => tensor[(name.Length + 1)..])];
        Assert.True(tensors.Length >= 4);
        foreach (string tensor in tensors)
        {
            TraceTensor ours = trace[TraceName(tensor)];
            bool[] valid = Valid(ours, model.Config, trace);
            float[] numbers = ours.ToFloats();
            Assert.All(numbers.Where((_, i) => !valid[i]), number => Assert.Equal(0f, number));
            golden.Check($"{name}.{tensor}", [.. numbers.Where((_, i) => valid[i])], twin[tensor], rows =>
            {
                if (SplitByHead().IsMatch(tensor)) rows = Layout.SplitHeads(rows, inputs.Length, model.Config.Heads, model.Config.HeadSize);
                return [.. Layout.HideKeys(rows).Where((_, i) => valid[i])];
            });
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Flash_attention_gives_the_same_hidden_states(string folder, string expected, string name)
    {
        using var golden = new GoldenFolder(expected);
        Model model = Model.Load(Golden.Path(folder), threads: 2);
        EncoderInputs inputs = EncoderInputs.Read(golden.Expected, name);
        TokenBatch batch = inputs.ToBatch();
        int features = model.Config.HiddenSize;
        string tensor = $"hidden_states.{model.Config.Layers}";
        golden.Check($"{name}.{tensor}", HiddenStates.Of(model, batch), EncoderTwin.Forward(Golden.Path(folder), inputs)[tensor], rows =>
            [.. Enumerable.Range(0, inputs.Sequences).SelectMany(sequence => rows.Skip(sequence * inputs.Length * features).Take(batch.Length(sequence) * features))]);
    }

    /// <summary>The name in the trace of Hugging Face's tensor.</summary>
    private static string TraceName(string tensor)
    {
        if (tensor is "hidden_states.0") return "embeddings";
        Match numbered = Numbered().Match(tensor);
        if (!numbered.Success) return tensor.Replace("embeddings_sum", "embeddings.sum");
        int layer = int.Parse(numbered.Groups["layer"].Value);
        return numbered.Groups["kind"].Value switch
        {
            "hidden_states" => $"layers.{layer - 1}.output",
            "attentions" => $"layers.{layer}.weights",
            _ => $"layers.{layer}." + numbered.Groups["part"].Value switch { "query" => "queries", "key" => "keys", "value" => "values", string part => part },
        };
    }

    /// <summary>Which numbers of a tensor are no padding: everything else must be 0.</summary>
    private static bool[] Valid(TraceTensor tensor, EncoderConfig config, AttentionTrace trace)
    {
        string part = tensor.Name[(tensor.Name.LastIndexOf('.') + 1)..];
        int[] tokenAxes = part switch
        {
            "queries" or "keys" or "values" => [2],
            "scores" or "weights" => [2, 3],
            "pooler_output" or "seq_relationship_logits" => [],
            "logits" when tensor.Shape.Count == 2 => [],
            _ => [1],
        };
        var valid = new bool[tensor.Shape.Aggregate(1L, (product, size) => product * size)];
        for (int i = 0; i < valid.Length; i++)
        {
            var index = new long[tensor.Shape.Count];
            for (long axis = index.Length - 1, rest = i; axis >= 0; rest /= tensor.Shape[(int)axis--]) index[axis] = rest % tensor.Shape[(int)axis];
            valid[i] = Array.TrueForAll(tokenAxes, axis => index[axis] < trace.LengthOf((int)index[0]));
        }
        return valid;
    }

    [GeneratedRegex(@"\.inputs\.|\.position_ids$|\.loss$")]
    private static partial Regex NotComputed();

    [GeneratedRegex(@"\.(query|key|value)$")]
    private static partial Regex SplitByHead();

    [GeneratedRegex(@"^(?<kind>hidden_states|attentions|layer)\.(?<layer>\d+)(\.(?<part>\w+))?$")]
    private static partial Regex Numbered();
}
