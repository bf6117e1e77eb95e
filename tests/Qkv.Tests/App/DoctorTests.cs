using System.Text.Json;
using Qkv.Kernels.MachineCode;

namespace Qkv.Tests.App;

public class DoctorTests
{
    [Fact]
    public void Everything_resolved_is_listed_and_the_engine_agrees_with_itself()
    {
        Ran ran = Command.Succeeds("doctor");
        Assert.Contains("BertForMaskedLM", ran.Output);
        Assert.Contains("All is well.", ran.Output);
        JsonElement json = Command.Succeeds("doctor", "--json", "--threads", "1").Json;
        Assert.Equal("bert", json.GetProperty("model").GetProperty("family").GetString());
        Assert.Equal("F16", json.GetProperty("model").GetProperty("dtype")[0].GetString());
        Assert.Equal("WordPiece", json.GetProperty("text").GetProperty("tokenizer").GetString());
        Assert.Equal(1, json.GetProperty("machine").GetProperty("threads").GetInt32());
        Assert.Equal(MachineTiles.HasBFloat16 ? ["int8", "bfloat16"] : MachineTiles.HasInt8 ? ["int8"] : [],
            json.GetProperty("machine").GetProperty("machine_code").EnumerateArray().Select(name => name.GetString()));
        Assert.InRange(json.GetProperty("self_check").GetProperty("reference_and_flash_differ_by").GetSingle(), 0f, 1e-4f);
        Assert.True(json.GetProperty("self_check").GetProperty("passed").GetBoolean());
    }

    [Fact]
    public void A_model_without_a_tokenizer_is_checked_too()
    {
        JsonElement json = Command.Succeeds("doctor", "--json", "--model", Command.Golden("bert-model-tiny")).Json;
        Assert.Equal(JsonValueKind.Null, json.GetProperty("text").GetProperty("tokenizer").ValueKind);
        Assert.True(json.GetProperty("self_check").GetProperty("passed").GetBoolean());
    }
}
