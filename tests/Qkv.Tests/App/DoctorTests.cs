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
        Assert.Equal([.. MachineTiles.HasFloat32 ? ["float32"] : (string[])[], .. MachineTiles.HasInt8 ? ["int8"] : (string[])[], .. MachineTiles.HasBFloat16 || MachineTiles.HasWidening ? ["bfloat16"] : (string[])[]],
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

    [Fact]
    public void A_lower_precision_is_compared_with_float32()
    {
        JsonElement report = Command.Succeeds("doctor", "--json", "--precision", "int8").Json;
        Assert.Equal("int8", report.GetProperty("machine").GetProperty("precision").GetString());
        Assert.True(report.GetProperty("self_check").GetProperty("passed").GetBoolean());
        JsonElement int8 = report.GetProperty("beside_float32");
        double mean = Number(int8, "mean_cosine");
        Assert.InRange(mean, 0.995, 0.99999);
        Assert.InRange(Number(int8, "worst_cosine"), 0.99, mean);
        Assert.InRange(Number(int8, "worst_token_cosine"), 0.99, 0.99999);
        // One kind of map alone costs something, and less than all.
        foreach (string kind in (string[])["queries_keys_values", "projection", "intermediate", "output"]) Assert.InRange(Number(int8, "only_" + kind), mean, 0.999999);
        Assert.InRange(Number(Command.Succeeds("doctor", "--json", "--precision", "bfloat16").Json.GetProperty("beside_float32"), "mean_cosine"), mean, 0.9999999);
        Assert.False(Command.Succeeds("doctor", "--json").Json.TryGetProperty("beside_float32", out _));

        static double Number(JsonElement json, string name) => json.GetProperty(name).GetDouble();
    }

    [Fact]
    public void Texts_to_compare_come_from_a_file()
    {
        using var directory = new TemporaryDirectory();
        string file = directory.Write("texts.txt", "one text\n\nanother\none text\n"), blank = directory.Write("blank.txt", "\n \n");
        JsonElement json = Command.Succeeds("doctor", "--json", "--precision", "int8", "--input", file).Json.GetProperty("beside_float32");
        Assert.Equal(3, json.GetProperty("texts").GetInt32());
        Assert.Contains(json.GetProperty("worst_text").GetString(), (string[])["one text", "another"]);
        Command.Fails(1, "holds no text to compare", "doctor", "--precision", "int8", "--input", blank);
        Command.Fails(2, "add --precision bfloat16 or int8", "doctor", "--input", file);
    }
}
