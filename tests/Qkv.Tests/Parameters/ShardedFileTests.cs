using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

public class ShardedFileTests
{
    public static TheoryData<string, string[]> BadIndexes => new()
    {
        { """{"weight_map":{"a":"../one.safetensors"}}""", ["'a'", "../one.safetensors", "plain name"] },
        { """{"weight_map":{"a":"/etc/one.safetensors"}}""", ["'a'", "/etc/one.safetensors", "plain name"] },
        { """{"weight_map":{"a":"..\\one.safetensors"}}""", ["'a'", "plain name"] },
        { """{"weight_map":{"a":"C:one.safetensors"}}""", ["'a'", "plain name"] },
        { """{"weight_map":{"a":"one.safetensors\u0000"}}""", ["'a'", "plain name"] },
        { """{"weight_map":{"a":"model.safetensors.index.json"}}""", ["'a'", "plain name"] },
        { """{"weight_map":{"a":""}}""", ["'a'", "plain name"] },
        { """{"weight_map":{"a":"two.safetensors"}}""", ["shard 'two.safetensors' is missing"] },
        { """{"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"one.safetensors"}}""", ["'c'", "'one.safetensors'", "does not hold it"] },
        { """{"weight_map":{"a":"one.safetensors"}}""", ["shard 'one.safetensors' holds tensor 'b'"] },
        { """{"weight_map":{"a":"one.safetensors","a":"one.safetensors"}}""", ["JSON"] },
        { """{"weight_map":{"a":7}}""", ["'a'"] },
        { """{"weight_map":[]}""", ["weight_map"] },
        { """{}""", ["weight_map"] },
        { """[]""", ["weight_map"] },
        { """{"weight_map":{"\ud800":"one.safetensors"}}""", ["JSON"] },
        { "", ["empty"] },
        { "{\"weight_map\":" + "[[[[[[[[[[[[]]]]]]]]]]]]}", ["JSON"] },
    };

    [Theory]
    [MemberData(nameof(BadIndexes))]
    public void A_bad_index_is_refused(string index, string[] parts)
    {
        using TemporaryDirectory directory = new();
        SafetensorsWriter.Write(directory.File("one.safetensors"), [SafetensorsTensor.Of("a", [1], new float[] { 1 }), SafetensorsTensor.Of("b", [1], new float[] { 2 })]);
        directory.Write("model.safetensors.index.json", index);
        Refusal.Contains(() => ParameterFile.OpenDirectory(directory.Path).Dispose(), ["model.safetensors.index.json", .. parts]);
    }

    [Fact]
    public void A_tensor_in_two_shards_is_refused()
    {
        using TemporaryDirectory directory = new();
        SafetensorsWriter.Write(directory.File("one.safetensors"), [SafetensorsTensor.Of("a", [1], new float[] { 1 })]);
        SafetensorsWriter.Write(directory.File("two.safetensors"), [SafetensorsTensor.Of("a", [1], new float[] { 2 }), SafetensorsTensor.Of("b", [1], new float[] { 2 })]);
        directory.Write("model.safetensors.index.json", """{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}""");
        Refusal.Contains(() => ParameterFile.OpenDirectory(directory.Path).Dispose(), "'two.safetensors'", "'a'");
    }

    [Fact]
    public void Shards_of_PyTorch_are_read()
    {
        using TemporaryDirectory directory = new();
        directory.Write("pytorch_model-00001-of-00001.bin", File.ReadAllBytes(Golden.Path("bert-tiny-bin", "pytorch_model.bin")));
        using ParameterFile whole = ParameterFile.OpenDirectory(Golden.Path("bert-tiny-bin"));
        directory.Write("pytorch_model.bin.index.json", "{\"weight_map\":{" + string.Join(",", whole.Parameters.Keys.Select(name => $"\"{name}\":\"pytorch_model-00001-of-00001.bin\"")) + "}}");
        using ParameterFile sharded = ParameterFile.OpenDirectory(directory.Path);
        Assert.All(whole.Parameters.Keys, name => Assert.Equal(whole.ReadAll(name), sharded.ReadAll(name)));
    }
}
