using System.Text.Json;

namespace Qkv.Tests.App.Server;

/// <summary>Experiments are honest: what changes nothing changes nothing, and tokens are followed to where they go.</summary>
public sealed class ExperimentRouteTests(RunningServer server) : IClassFixture<RunningServer>
{
    private const string Masked = "我想吃[MASK]菜鱼"; // [CLS] 我 想 吃 [MASK] 菜 鱼 [SEP]

    private Task<JsonElement> RunAsync(string text, object[] interventions, object[]? before = null, string? pair = null) => server.PostAsync(
        "/experiment", new { text, pair, interventions, @base = before ?? [], tensors = (string[])["layers.*", "embeddings*"], facts = true });

    private static int?[] Rows(JsonElement answer) => [.. answer.GetProperty("rows").EnumerateArray().Select(row => row.ValueKind == JsonValueKind.Null ? (int?)null : row.GetInt32())];

    private static string?[] Tokens(JsonElement side) => [.. side.GetProperty("tokens").EnumerateArray().Select(token => token.GetProperty("token").GetString())];

    private static float[] Tensor(JsonElement answer, string side, string name) => RunningServer.Floats(answer.GetProperty(side).GetProperty("tensors").GetProperty(name));

    [Fact]
    public async Task What_changes_nothing_gives_the_same_bytes()
    {
        foreach (object same in (object[])
        [
            new { kind = "swap_tokens", a = 2, b = 2 },
            new { kind = "temperature", value = 1 },
            new { kind = "temperature", value = 1, layer = 3, head = 0 },
            new { kind = "replace_token", at = 2, text = "想" },
            new { kind = "replace_token", at = 0, text = "[CLS]" },
            new { kind = "permute_keys", a = 0, b = 0 },
        ])
        {
            JsonElement answer = await RunAsync(Masked, [same]);
            Assert.Equal(answer.GetProperty("before").GetRawText(), answer.GetProperty("after").GetRawText());
            Assert.Equal(0, answer.GetProperty("context_difference").GetSingle());
            Assert.Equal(1.0, answer.GetProperty("embedding_cosine").GetDouble(), 1e-12);
        }
        JsonElement none = await RunAsync(Masked, []);
        Assert.Equal(none.GetProperty("before").GetRawText(), none.GetProperty("after").GetRawText());
    }

    [Fact]
    public async Task Before_is_the_trace_without_interventions()
    {
        JsonElement answer = await RunAsync(Masked, [new { kind = "disable_head", layer = 1, head = 2 }]);
        Bits.Equal(server.Encoder.Trace(Masked)["layers.3.output"].ToFloats(), Tensor(answer, "before", "layers.3.output"));
        Bits.Equal(server.Encoder.Trace(Masked, interventions: [Intervention.DisableHead(1, 2)])["layers.3.output"].ToFloats(), Tensor(answer, "after", "layers.3.output"));
        float[] context = Tensor(answer, "after", "layers.1.context");
        for (int row = 0; row < 8; row++) Assert.All(context.AsSpan(row * 256 + 2 * 64, 64).ToArray(), number => Assert.Equal(0f, number));
        JsonElement change = Assert.Single(answer.GetProperty("changes").EnumerateArray());
        Assert.Equal((4, 4), (change.GetProperty("position").GetInt32(), change.GetProperty("position_after").GetInt32()));
        Assert.Equal(answer.GetProperty("after").GetProperty("predictions")[0].GetProperty("top").GetRawText(), change.GetProperty("after").GetRawText());
        float[] differences = [.. answer.GetProperty("context_differences").EnumerateArray().Select(number => number.GetSingle())];
        Assert.Equal((0f, 4, differences.Max()), (differences[0], differences.Length, answer.GetProperty("context_difference").GetSingle()));
    }

    [Fact]
    public async Task Swapping_two_tokens_matters_only_where_positions_are_known()
    {
        object[] swap = [new { kind = "swap_tokens", a = 1, b = 3 }];
        JsonElement with = await RunAsync(Masked, swap), without = await RunAsync(Masked, swap, [new { kind = "no_positions" }]);
        Assert.Equal([0, 3, 2, 1, 4, 5, 6, 7], Rows(with));
        Assert.Equal(["[CLS]", "吃", "想", "我", "[MASK]", "菜", "鱼", "[SEP]"], Tokens(with.GetProperty("after")));
        Assert.True(with.GetProperty("context_difference").GetSingle() > 0.1f);
        Assert.InRange(without.GetProperty("context_difference").GetSingle(), 0f, 1e-5f);
        Assert.Equal(1.0, without.GetProperty("embedding_cosine").GetDouble(), 1e-6);
    }

    [Fact]
    public async Task Keys_and_values_that_change_places_leave_the_context()
    {
        JsonElement answer = await RunAsync(Masked, [new { kind = "permute_keys", a = 1, b = 5 }]);
        Assert.InRange(answer.GetProperty("context_difference").GetSingle(), 0f, 1e-5f);
        Assert.NotEqual(Tensor(answer, "before", "layers.0.keys"), Tensor(answer, "after", "layers.0.keys"));
    }

    [Fact]
    public async Task Tokens_are_followed_while_others_come_and_go()
    {
        JsonElement answer = await RunAsync(Masked,
        [
            new { kind = "hide_token", token = 6 }, // 鱼
            new { kind = "insert_token", at = 1, text = "今天" },
            new { kind = "delete_token", at = 7 }, // 菜
            new { kind = "replace_token", at = 3, text = "[MASK]" }, // 我
        ]);
        JsonElement after = answer.GetProperty("after");
        Assert.Equal(["[CLS]", "今", "天", "[MASK]", "想", "吃", "[MASK]", "鱼", "[SEP]"], Tokens(after));
        Assert.Equal([0, null, null, 1, 2, 3, 4, 6, 7], Rows(answer));
        // 鱼 is at 7 now, and nobody looks at it.
        float[] weights = Tensor(answer, "after", "layers.2.weights");
        for (int row = 0; row < 9; row++) Assert.Equal(0f, weights[row * 9 + 7]);
        Assert.Equal([(4, 6), (1, 3)], answer.GetProperty("changes").EnumerateArray().Select(change => (change.GetProperty("position").GetInt32(), change.GetProperty("position_after").GetInt32())));
        Assert.All(after.GetProperty("tokens").EnumerateArray(), token => Assert.Equal(token.GetProperty("token").GetString() is "[CLS]" or "[SEP]", token.GetProperty("special").GetBoolean()));
        Assert.Equal(JsonValueKind.Null, after.GetProperty("tokens")[1].GetProperty("start").ValueKind);

        JsonElement deleted = await RunAsync(Masked, [new { kind = "delete_token", at = 4 }]);
        JsonElement change = Assert.Single(deleted.GetProperty("changes").EnumerateArray());
        Assert.Equal((JsonValueKind.Null, 0), (change.GetProperty("position_after").ValueKind, change.GetProperty("after").GetArrayLength()));
    }

    [Fact]
    public async Task A_new_token_belongs_to_the_text_it_stands_in()
    {
        // [CLS] 我 [SEP] 你 [SEP]
        async Task<string> Segments(int at) => string.Concat((await RunAsync("我", [new { kind = "insert_token", at, text = "们" }], pair: "你")).GetProperty("after").GetProperty("tokens").EnumerateArray().Select(token => token.GetProperty("segment").GetInt32()));
        Assert.Equal("000011", await Segments(1));
        Assert.Equal("000011", await Segments(2)); // behind 我
        Assert.Equal("000111", await Segments(3)); // before 你
        Assert.Equal("000111", await Segments(4));
        Assert.Equal("000111", await Segments(5));
    }

    [Fact]
    public async Task A_looks_only_at_B()
    {
        // [CLS] 我 想 [SEP] 你 们 [SEP]
        JsonElement answer = await RunAsync("我想", [new { kind = "cross_attention", layer = 1, head = 2 }], pair: "你们");
        float[] before = Tensor(answer, "before", "layers.1.weights"), after = Tensor(answer, "after", "layers.1.weights");
        for (int i = 0; i < after.Length; i++)
        {
            int head = i / 49, row = i / 7 % 7, column = i % 7;
            bool crosses = head == 2 && row is 1 or 2 && head == 2;
            if (!crosses) Assert.Equal(before[i], after[i]);
            else if (column is not (4 or 5)) Assert.Equal(0f, after[i]);
            else Assert.True(after[i] > before[i]);
        }
    }

    [Fact]
    public async Task A_layer_can_be_left_out()
    {
        JsonElement answer = await RunAsync(Masked, [new { kind = "disable_layer", layer = 0 }]);
        Bits.Equal(Tensor(answer, "after", "embeddings"), Tensor(answer, "after", "layers.0.output"));
    }

    [Fact]
    public async Task What_makes_no_sense_is_refused()
    {
        Task Refused(object intervention, string words) => server.FailsAsync("/experiment", new { text = Masked, interventions = (object[])[intervention] }, words);
        await Refused(new { kind = "sing" }, "no intervention 'sing'");
        await Refused(new { kind = "swap_tokens", a = 1 }, "swap_tokens needs 'b'");
        await Refused(new { kind = "swap_tokens", a = 1, b = 8 }, "'b' of swap_tokens must be from 0 to 7, but is 8");
        await Refused(new { kind = "disable_head", layer = 4, head = 0 }, "'layer'");
        await Refused(new { kind = "disable_head", layer = 0, head = -1 }, "'head'");
        await Refused(new { kind = "hide_token", token = 8 }, "'token'");
        await Refused(new { kind = "insert_token", at = 9, text = "x" }, "'at'");
        await Refused(new { kind = "insert_token", at = 1, text = " " }, "no tokens");
        await Refused(new { kind = "replace_token", at = 1 }, "needs 'text'");
        await Refused(new { kind = "temperature", value = 0 }, "above 0");
        await Refused(new { kind = "temperature", value = 2, layer = 7 }, "'layer'");
        await Refused(new { kind = "cross_attention", layer = 0 }, "needs a pair");
        await server.FailsAsync("/experiment", new { text = Masked }, "interventions");
        await server.FailsAsync("/experiment", new { text = "我", special_tokens = false, interventions = (object[])[new { kind = "delete_token", at = 0 }] }, "only token");
        await server.FailsAsync("/experiment", new { text = Masked, interventions = (object[])[new { kind = "insert_token", at = 1, text = new string('我', 600) }] }, "608 tokens", 413, "too_large");
    }
}
