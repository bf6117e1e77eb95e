using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Server;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Tests.App.Server;

/// <summary>What <c>/info</c> and <c>/trace</c> answer: the numbers of the engine, to the last bit.</summary>
public sealed class TraceRouteTests(RunningServer server) : IClassFixture<RunningServer>
{
    private const string Fish = "我想吃酸菜鱼";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Info_says_what_the_model_is()
    {
        JsonElement info = JsonDocument.Parse(await server.Client.GetStringAsync("/info", Cancellation)).RootElement;
        Assert.Equal(("bundled", "bert", 4, 4), (info.GetProperty("model").GetString(), info.GetProperty("family").GetString(), info.GetProperty("layers").GetInt32(), info.GetProperty("heads").GetInt32()));
        Assert.Equal((256, 64, 512), (info.GetProperty("hidden_size").GetInt32(), info.GetProperty("head_size").GetInt32(), info.GetProperty("max_tokens").GetInt32()));
        Assert.Equal("[CLS]", info.GetProperty("special_tokens").GetProperty("cls").GetString());
        Assert.Equal(["embed", "fill-mask"], info.GetProperty("tasks").EnumerateArray().Select(task => task.GetString()));
        Assert.Equal("""{"status":"ok"}""", await server.Client.GetStringAsync("/health", Cancellation));
    }

    [Fact]
    public async Task Tensors_are_those_of_the_trace_to_the_last_bit()
    {
        JsonElement tensors = (await server.PostAsync("/trace", new { text = Fish, tensors = (string[])["*"] })).GetProperty("tensors");
        AttentionTrace trace = server.Encoder.Trace(Fish);
        TraceTensor[] expected = [.. trace.Tensors.Where(tensor => tensor.HoldsFloats)];
        Assert.Equal(expected.Select(tensor => tensor.Name), tensors.EnumerateObject().Select(member => member.Name));
        foreach (TraceTensor tensor in expected)
        {
            Bits.Equal(tensor.ToFloats(), RunningServer.Floats(tensors.GetProperty(tensor.Name)));
            Assert.Equal(tensor.Shape.Skip(1).Select(size => (int)size), RunningServer.Shape(tensors.GetProperty(tensor.Name)));
        }
    }

    [Fact]
    public async Task A_head_is_a_slice()
    {
        JsonElement tensors = (await server.PostAsync("/trace", new { text = Fish, pair = "不要辣", tensors = (string[])["layers.2.weights[1]", "layers.*.queries[3]"] })).GetProperty("tensors");
        AttentionTrace trace = server.Encoder.Trace(Fish, "不要辣");
        int length = trace.Length;
        Assert.Equal(5, tensors.EnumerateObject().Count());
        Assert.Equal([length, length], RunningServer.Shape(tensors.GetProperty("layers.2.weights[1]")));
        Bits.Equal(trace.WeightsOf(0, 2, 1), RunningServer.Floats(tensors.GetProperty("layers.2.weights[1]")));
        Assert.Equal([length, 64], RunningServer.Shape(tensors.GetProperty("layers.1.queries[3]")));
        Bits.Equal(trace["layers.1.queries"].ToFloats().AsSpan(3 * length * 64, length * 64), RunningServer.Floats(tensors.GetProperty("layers.1.queries[3]")));
    }

    [Fact]
    public async Task Maps_are_within_half_a_step()
    {
        JsonElement maps = (await server.PostAsync("/trace", new { text = Fish, maps = (string[])["layers.*.weights", "layers.0.keys[2]"] })).GetProperty("maps");
        Assert.Equal(5, maps.EnumerateObject().Count());
        JsonElement map = maps.GetProperty("layers.3.weights");
        float[] weights = server.Encoder.Trace(Fish)["layers.3.weights"].ToFloats();
        byte[] bytes = map.GetProperty("data").GetBytesFromBase64();
        float least = map.GetProperty("least").GetSingle(), most = map.GetProperty("most").GetSingle();
        Assert.Equal((weights.Min(), weights.Max()), (least, most));
        Assert.Equal(weights.Length, bytes.Length);
        Assert.Equal((0, 255), (bytes.Min(), bytes.Max()));
        for (int i = 0; i < bytes.Length; i++) Assert.Equal(weights[i], least + bytes[i] / 255f * (most - least), (most - least) * 0.501 / 255);
    }

    [Fact]
    public void Numbers_that_are_all_alike_or_not_finite_have_a_map()
    {
        var bytes = new byte[4];
        Assert.Equal((2f, 2f), TensorPart.Quantise([2f, 2f, 2f, 2f], bytes));
        Assert.Equal([0, 0, 0, 0], bytes);
        Assert.Equal((-1f, 1f), TensorPart.Quantise([float.NegativeInfinity, -1f, 1f, float.NaN], bytes));
        Assert.Equal([0, 0, 255, 0], bytes);
        Assert.Equal((0f, 0f), TensorPart.Quantise([float.NegativeInfinity], bytes));
    }

    [Fact]
    public async Task Tokens_say_where_they_are()
    {
        const string text = "吃 <script>alert(1)</script>", pair = "\"><img onerror>";
        using HttpResponseMessage response = await server.SendAsync("/trace", JsonSerializer.Serialize(new { text, pair }));
        string body = await response.Content.ReadAsStringAsync(Cancellation);
        Assert.DoesNotContain('<', body);
        JsonElement json = JsonDocument.Parse(body).RootElement;
        Assert.Equal((text, pair), (json.GetProperty("text").GetString(), json.GetProperty("pair").GetString()));
        Encoding encoding = server.Encoder.Encode(text, pair);
        JsonElement[] tokens = [.. json.GetProperty("tokens").EnumerateArray()];
        Assert.Equal(encoding.Tokens, tokens.Select(token => token.GetProperty("token").GetString()));
        Assert.Equal(encoding.Ids, tokens.Select(token => token.GetProperty("id").GetInt32()));
        Assert.Equal(encoding.TypeIds, tokens.Select(token => token.GetProperty("segment").GetInt32()));
        for (int i = 0; i < tokens.Length; i++)
        {
            Assert.Equal(encoding.SpecialTokensMask[i] == 1, tokens[i].GetProperty("special").GetBoolean());
            if (encoding.SpecialTokensMask[i] == 1) Assert.Equal(JsonValueKind.Null, tokens[i].GetProperty("start").ValueKind);
            else Assert.Equal(encoding.Offsets[i], new TextRange(tokens[i].GetProperty("start").GetInt32(), tokens[i].GetProperty("end").GetInt32()));
        }
        Assert.Equal(6, (await server.PostAsync("/trace", new { text = Fish, special_tokens = false })).GetProperty("tokens").GetArrayLength());
    }

    [Fact]
    public async Task Facts_predictions_and_the_embedding_are_the_engines()
    {
        const string text = "请问附近有什么好吃的[MASK]馆吗？";
        JsonElement json = await server.PostAsync("/trace", new { text, facts = true, positions = (int[])[1] });
        AttentionTrace trace = server.Encoder.Trace(text);
        JsonElement[] facts = [.. json.GetProperty("facts").EnumerateArray()];
        Assert.Equal(16, facts.Length);
        var head = new HeadFacts(2, 3);
        head.Add(trace.WeightsOf(0, 2, 3), HeadToken.Of(server.Encoder.Encode(text), server.Encoder.Tokenizer.Vocabulary));
        Assert.Equal((2, 3), (facts[11].GetProperty("layer").GetInt32(), facts[11].GetProperty("head").GetInt32()));
        Assert.Equal((head.Entropy, head.Distance), (facts[11].GetProperty("entropy").GetDouble(), facts[11].GetProperty("distance").GetDouble()));
        foreach ((string name, Look look) in ((string, Look)[])[("cls", Look.Cls), ("sep", Look.Sep), ("self", Look.Self), ("previous", Look.Previous), ("next", Look.Next)])
            Assert.Equal(head.Share(look), facts[11].GetProperty(name).GetDouble());

        JsonElement[] predictions = [.. json.GetProperty("predictions").EnumerateArray()];
        int mask = server.Encoder.Encode(text).Ids.IndexOf(server.Encoder.Tokenizer.MaskId!.Value);
        Assert.Equal([1, mask], predictions.Select(prediction => prediction.GetProperty("position").GetInt32()));
        TokenPrediction best = server.Encoder.FillMask(text)[0][0];
        JsonElement first = predictions[1].GetProperty("top")[0];
        Assert.Equal((best.Token, best.Id), (first.GetProperty("token").GetString(), first.GetProperty("id").GetInt32()));
        Assert.Equal(best.Score, first.GetProperty("score").GetSingle(), 1e-5);
        Assert.All(server.Encoder.Embed(text).Zip(RunningServer.Floats(json.GetProperty("embedding"))), pair => Assert.Equal(pair.First, pair.Second, 1e-5));

        // Nothing to guess, or not asked: nothing there.
        Assert.False((await server.PostAsync("/trace", new { text = Fish })).TryGetProperty("predictions", out _));
        Assert.False((await server.PostAsync("/trace", new { text, predictions = false })).TryGetProperty("predictions", out _));
    }

    [Fact]
    public async Task Parameters_are_those_of_the_file()
    {
        JsonElement parameters = (await server.PostAsync("/trace", new { text = Fish, parameters = new { layer = 2, head = 3 } })).GetProperty("parameters");
        Assert.Equal((2, 3), (parameters.GetProperty("layer").GetInt32(), parameters.GetProperty("head").GetInt32()));
        using var file = new SafetensorsFile(Path.Combine(Command.Bundled, "model.safetensors"));
        float[] Read(string name)
        {
            var numbers = new float[file.Parameters[name].Count];
            file.Read(name, 0, numbers);
            return numbers;
        }
        const string layer = "bert.encoder.layer.2.";
        foreach (string map in (string[])["query", "key", "value"])
        {
            JsonElement ours = parameters.GetProperty(map);
            Assert.Equal([64, 256], RunningServer.Shape(ours.GetProperty("weight")));
            Bits.Equal(Read($"{layer}attention.self.{map}.weight").AsSpan(3 * 64 * 256, 64 * 256), RunningServer.Floats(ours.GetProperty("weight")));
            Bits.Equal(Read($"{layer}attention.self.{map}.bias").AsSpan(3 * 64, 64), RunningServer.Floats(ours.GetProperty("bias")));
        }
        float[] output = Read(layer + "attention.output.dense.weight"), part = RunningServer.Floats(parameters.GetProperty("output").GetProperty("weight"));
        for (int row = 0; row < 256; row++) Bits.Equal(output.AsSpan(row * 256 + 3 * 64, 64), part.AsSpan(row * 64, 64));
        Bits.Equal(Read(layer + "attention.output.dense.bias"), RunningServer.Floats(parameters.GetProperty("output").GetProperty("bias")));
        foreach ((string name, string stored) in ((string, string)[])[("attention_norm", layer + "attention.output"), ("output_norm", layer + "output"), ("embeddings_norm", "bert.embeddings")])
        {
            Bits.Equal(Read(stored + ".LayerNorm.weight"), RunningServer.Floats(parameters.GetProperty(name).GetProperty("weight")));
            Bits.Equal(Read(stored + ".LayerNorm.bias"), RunningServer.Floats(parameters.GetProperty(name).GetProperty("bias")));
        }
    }

    [Fact]
    public async Task Parameters_are_shown_as_they_are_multiplied()
    {
        TextEncoder encoder = TextEncoder.Load(Command.Bundled, new TextEncoderOptions { Precision = Qkv.Kernels.Precision.BFloat16 });
        await using StudioServer other = await StudioServer.StartAsync(encoder, "half", ["http://127.0.0.1:0"], _ => { });
        using var client = new HttpClient { BaseAddress = new Uri(other.Addresses.Single()) };
        var request = new { text = Fish, parameters = new { layer = 0, head = 1 } };
        JsonElement half = (await RunningServer.PostAsync(client, "/trace", request)).GetProperty("parameters").GetProperty("key").GetProperty("weight");
        JsonElement whole = (await server.PostAsync("/trace", request)).GetProperty("parameters").GetProperty("key").GetProperty("weight");
        Bits.Equal([.. RunningServer.Floats(whole).Select(number => BitConverter.UInt32BitsToSingle((uint)Qkv.Kernels.BFloat16.Round(number) << 16))], RunningServer.Floats(half));
    }

    [Fact]
    public async Task Tensors_come_as_a_file_too()
    {
        using HttpResponseMessage response = await server.SendAsync("/trace.safetensors", JsonSerializer.Serialize(new { text = Fish, tensors = (string[])["layers.0.*"] }));
        Assert.Equal("attachment; filename=\"trace.safetensors\"", response.Content.Headers.ContentDisposition!.ToString());
        using var directory = new TemporaryDirectory();
        await File.WriteAllBytesAsync(directory.File("a.safetensors"), await response.Content.ReadAsByteArrayAsync(Cancellation), Cancellation);
        using var file = new SafetensorsFile(directory.File("a.safetensors"));
        Assert.Equal(12, file.Parameters.Count);
        var weights = new float[file.Parameters["layers.0.weights"].Count];
        file.Read("layers.0.weights", 0, weights);
        Bits.Equal(server.Encoder.Trace(Fish)["layers.0.weights"].ToFloats(), weights);
    }

    [Fact]
    public async Task A_model_without_a_masked_language_models_head_predicts_nothing()
    {
        using TemporaryDirectory directory = Command.WithVocabulary("bert-sequence-classification");
        TextEncoder encoder = TextEncoder.Load(directory.Path);
        await using StudioServer other = await StudioServer.StartAsync(encoder, "other", ["http://127.0.0.1:0"], _ => { });
        using var client = new HttpClient { BaseAddress = new Uri(other.Addresses.Single()) };
        JsonElement json = await RunningServer.PostAsync(client, "/trace", new { text = "我[MASK]", predictions = true, facts = true, maps = (string[])["layers.*.weights"] });
        Assert.False(json.TryGetProperty("predictions", out _));
        JsonElement experiment = await RunningServer.PostAsync(client, "/experiment", new { text = "我想", interventions = (object[])[new { kind = "no_positions" }] });
        Assert.False(experiment.TryGetProperty("changes", out _));
    }

    [Fact]
    public async Task What_is_not_there_is_refused()
    {
        await server.FailsAsync("/trace", new { text = "" }, "no tokens");
        await server.FailsAsync("/trace", new { text = Fish, tensors = (string[])["layers.9.*"] }, "layers.9.*");
        await server.FailsAsync("/trace", new { text = Fish, tensors = (string[])["layers.1.weights[4]"] }, "heads are 0 … 3");
        await server.FailsAsync("/trace", new { text = Fish, maps = (string[])["layers.1.context[0]"] }, "layers.1.context[0]");
        await server.FailsAsync("/trace", new { text = Fish, parameters = new { layer = 4, head = 0 } }, "layer 4");
        await server.FailsAsync("/trace", new { text = Fish, positions = (int[])[8] }, "no token 8");
        await server.FailsAsync("/trace", new { text = string.Concat(Enumerable.Repeat(Fish, 200)) }, "1,202 tokens", 413, "too_large");
        await server.FailsAsync("/trace.safetensors", new { text = Fish, tensors = (string[])["nothing"] }, "'nothing'");
        await server.FailsAsync("/trace.safetensors", new { text = Fish, tensors = (string[])["layers.0.weights[1]"] }, "ask for 'layers.0.weights'");
    }
}
