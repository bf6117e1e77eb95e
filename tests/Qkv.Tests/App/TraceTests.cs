using Qkv.Parameters;

namespace Qkv.Tests.App;

public class TraceTests
{
    private static readonly string s_model = Command.Golden("bert-tiny");

    private static SafetensorsTensor Integers(string name, long[] shape, params long[] numbers) => SafetensorsTensor.Of(name, shape, numbers);

    private static (Ran Ran, Dictionary<string, long[]> Shapes) Trace(string model, SafetensorsTensor[] inputs, params string[] options)
    {
        using var directory = new TemporaryDirectory();
        string input = directory.File("in.safetensors"), output = directory.File("out.safetensors");
        SafetensorsWriter.Write(input, inputs);
        Ran ran = Command.Run(["trace", "--model", model, "--inputs", input, "--output", output, .. options]);
        Assert.Equal(ran.Code == 0, File.Exists(output));
        if (ran.Code != 0) return (ran, []);
        using var file = new SafetensorsFile(output);
        return (ran, file.Parameters.ToDictionary(parameter => parameter.Key, parameter => parameter.Value.Shape.ToArray()));
    }

    [Fact]
    public void A_golden_case_comes_out_right()
    {
        using var directory = new TemporaryDirectory();
        string input = directory.File("in.safetensors"), output = directory.File("out.safetensors");
        using var golden = new SafetensorsFile(Path.Combine(s_model, "expected.safetensors"));
        SafetensorsWriter.Write(input, golden.Parameters.Values.Where(tensor => tensor.Name.StartsWith("positions.inputs.", StringComparison.Ordinal)).Select(tensor =>
        {
            var numbers = new long[tensor.Count];
            golden.ReadInt64(tensor.Name, 0, numbers);
            return Integers(tensor.Name["positions.inputs.".Length..], [.. tensor.Shape], numbers);
        }));
        Assert.Equal("", Command.Succeeds("trace", "--model", s_model, "--inputs", input, "--output", output).Error);
        using var trace = new SafetensorsFile(output);
        string last = $"positions.hidden_states.{EncoderConfig.Load(s_model).Layers}";
        float[] expected = Floats(golden, last), actual = Floats(trace, "last_hidden_state");
        Assert.Equal(golden.Parameters[last].Shape, trace.Parameters["last_hidden_state"].Shape);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
    }

    private static float[] Floats(SafetensorsFile file, string name)
    {
        var numbers = new float[file.Parameters[name].Count];
        file.Read(name, 0, numbers);
        return numbers;
    }

    [Fact]
    public void Only_what_matches_is_written_at_the_length_of_the_input()
    {
        (Ran ran, Dictionary<string, long[]> shapes) = Trace(
            s_model, [Integers("input_ids", [2, 4], 1, 2, 3, 0, 4, 5, 0, 0), Integers("attention_mask", [2, 4], 1, 1, 1, 0, 1, 1, 0, 0)], "--only", "*.weights", "--only", "embeddings");
        Assert.Equal(0, ran.Code);
        Assert.All(shapes, tensor => Assert.True(tensor.Key == "embeddings" || tensor.Key.EndsWith(".weights", StringComparison.Ordinal)));
        Assert.Equal([2L, 4L], [shapes["layers.0.weights"][0], shapes["layers.0.weights"][3]]);
    }

    [Fact]
    public void Positions_of_one_row_are_those_of_all_rows() =>
        Assert.Equal(0, Trace(s_model, [Integers("input_ids", [2, 3], 1, 2, 3, 4, 5, 6), Integers("position_ids", [1, 3], 2, 1, 0)]).Ran.Code);

    [Fact]
    public void Choices_come_back_as_they_were_given()
    {
        (_, Dictionary<string, long[]> shapes) = Trace(Command.Golden("bert-multiple-choice"), [Integers("input_ids", [1, 3, 2], 1, 2, 3, 4, 5, 6)]);
        Assert.Equal([3L, 2L], shapes["input_ids"]);
        Assert.Equal([1L, 3L], shapes["logits"]);
    }

    [Fact]
    public void A_tensor_that_is_no_input_is_passed_over_aloud()
    {
        Ran ran = Trace(s_model, [Integers("input_ids", [1, 1], 1), Integers("labels", [1], 0)]).Ran;
        Assert.Equal(0, ran.Code);
        Command.IsOneSentence("labels is no input of the encoder", ran.Error);
    }

    public static TheoryData<string, SafetensorsTensor[]> Refused => new()
    {
        { "there is no tensor input_ids", [Integers("attention_mask", [1, 1], 1)] },
        { "input_ids must be I64, but is F32", [SafetensorsTensor.Of("input_ids", [1, 1], new float[1])] },
        { "input_ids must be (B, L) or (B, N, L), but is (1)", [Integers("input_ids", [1], 1)] },
        { "at least one sequence of one token", [Integers("input_ids", [1, 0])] },
        { "input_ids holds 1000000, but must be from 0 to", [Integers("input_ids", [1, 1], 1_000_000)] },
        { "input_ids holds -1, but must be from 0 to", [Integers("input_ids", [1, 2], 1, -1)] },
        { "attention_mask is (2, 1), but input_ids is (1, 2)", [Integers("input_ids", [1, 2], 1, 1), Integers("attention_mask", [2, 1], 1, 1)] },
        { "attention_mask holds 2, but must be from 0 to 1", [Integers("input_ids", [1, 1], 1), Integers("attention_mask", [1, 1], 2)] },
        { "token_type_ids holds 9, but must be from 0 to", [Integers("input_ids", [1, 1], 1), Integers("token_type_ids", [1, 1], 9)] },
        { "position_ids must be I64, but is F32", [Integers("input_ids", [1, 1], 1), SafetensorsTensor.Of("position_ids", [1, 1], new float[1])] },
        { "position_ids holds 99999, but must be from 0 to", [Integers("input_ids", [1, 1], 1), Integers("position_ids", [1, 1], 99_999)] },
        { "has sequences of 5000 tokens, but this model reads at most", [Integers("input_ids", [1, 5000], new long[5000])] },
        { "inputs_embeds is an input that Qkv does not take", [Integers("input_ids", [1, 1], 1), SafetensorsTensor.Of("inputs_embeds", [1], new float[1])] },
    };

    [Theory]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public void Wrong_inputs_are_one_sentence_each(string words, SafetensorsTensor[] inputs)
    {
        Ran ran = Trace(s_model, inputs).Ran;
        Assert.Equal(1, ran.Code);
        Command.IsOneSentence(words, ran.Error);
    }

    [Fact]
    public void Texts_are_traced_as_one_batch()
    {
        using var directory = new TemporaryDirectory();
        Command.Succeeds("trace", "我想吃", "我", "--pair", "鱼", "--output", directory.File("a.safetensors"));
        using var file = new SafetensorsFile(directory.File("a.safetensors"));
        Assert.Equal([2, 4, 7, 7], file.Parameters["layers.0.scores"].Shape);
        Command.Fails(1, "No tensor of the trace matches 'nothing*'", "trace", "我", "--output", directory.File("b.safetensors"), "--only", "nothing*");
    }

    [Theory]
    [InlineData("--output' is required", "a")]
    [InlineData("either texts or --inputs", "--output", "a.safetensors")]
    [InlineData("there is no directory", "a", "--output", "no/such/directory/a.safetensors")]
    public void Wrong_usage_is_refused(string words, params string[] arguments) => Command.Fails(2, words, ["trace", .. arguments]);
}
