using System.Runtime.InteropServices;
using CsCheck;
using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

public class SafetensorsWriterTests
{
    [Fact]
    public void What_is_written_is_read()
    {
        using TemporaryDirectory directory = new();
        string path = directory.File("x.safetensors");
        var tensor = Gen.Select(Gen.String[1, 12], Gen.Enum<ElementType>(), Gen.Long[0, 5].List[0, 4], Gen.Int);
        tensor.List[0, 8].Repeatable().Sample(
            drawn =>
            {
                var tensors = drawn.DistinctBy(item => item.Item1).Where(item => IsText(item.Item1)).ToDictionary(item => item.Item1, item =>
                {
                    byte[] bytes = new byte[item.Item3.Aggregate(1L, (a, b) => a * b) * item.Item2.Size()];
                    new Random(item.Item4).NextBytes(bytes);
                    return (Type: item.Item2, Shape: item.Item3, Bytes: bytes);
                });
                SafetensorsWriter.Write(path, tensors.Select(pair => SafetensorsTensor.Of(pair.Key, pair.Value.Type, pair.Value.Shape, pair.Value.Bytes)));
                using SafetensorsFile file = new(path);
                Assert.Equal(tensors.Keys.Order(StringComparer.Ordinal), file.Parameters.Keys.Order(StringComparer.Ordinal));
                foreach ((string name, var written) in tensors)
                {
                    Assert.Equal(written.Type, file.Parameters[name].Type);
                    Assert.Equal(written.Shape, file.Parameters[name].Shape);
                    Assert.Equal(written.Bytes, file.ReadAllBytes(name));
                }
            },
            iter: 100,
            threads: 1);

        static bool IsText(string name) => name != "__metadata__" && !name.Any(char.IsSurrogate);
    }

    [Fact]
    public void Data_is_aligned_and_metadata_kept()
    {
        using TemporaryDirectory directory = new();
        string path = directory.File("x.safetensors");
        SafetensorsWriter.Write(
            path,
            [
                SafetensorsTensor.Of("flag", ElementType.Bool, [3], new byte[] { 1, 0, 1 }),
                SafetensorsTensor.Of("ids", [2], new long[] { -1, 7 }),
                SafetensorsTensor.Of("x", [1, 3], new float[] { 1, 2, 3 }),
                SafetensorsTensor.Of("d", [], new double[] { 0.5 }),
            ],
            new Dictionary<string, string> { ["format"] = "pt" });
        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal(0ul, MemoryMarshal.Read<ulong>(bytes) % 8);
        using SafetensorsFile file = new(path);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal([1f, 2f, 3f], file.ReadAll("x"));
        Assert.Equal([0.5f], file.ReadAll("d"));
        long[] ids = new long[2];
        file.ReadInt64("ids", 0, ids);
        Assert.Equal([-1, 7], ids);
        Assert.Equal([1, 0, 1], file.ReadAllBytes("flag"));
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file_and_nothing_else()
    {
        using TemporaryDirectory directory = new();
        string path = directory.Write("x.safetensors", "old");
        Assert.Throws<IOException>(() => SafetensorsWriter.Write(path, [new SafetensorsTensor("x", ElementType.F32, [2], _ => throw new IOException("full"))]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [SafetensorsTensor.Of("short", [2], new float[] { 1 })]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [SafetensorsTensor.Of("x", [-1], new float[] { 1 })]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [SafetensorsTensor.Of("x", [0], Array.Empty<float>()), SafetensorsTensor.Of("x", [0], Array.Empty<float>())]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [SafetensorsTensor.Of("__metadata__", [0], Array.Empty<float>())]));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(directory.Path));
    }

    [Fact]
    public void A_golden_file_survives_being_written_again()
    {
        using TemporaryDirectory directory = new();
        using SafetensorsFile source = new(Golden.Path("bert-tiny", "model.safetensors"));
        string path = directory.File("copy.safetensors");
        SafetensorsWriter.Write(path, source.Parameters.Values.Select(p => SafetensorsTensor.Of(p.Name, p.Type, p.Shape, source.ReadAllBytes(p.Name))), source.Metadata);
        using SafetensorsFile copy = new(path);
        Assert.Equal(source.Metadata, copy.Metadata);
        Assert.All(source.Parameters.Keys, name => Assert.Equal(source.ReadAllBytes(name), copy.ReadAllBytes(name)));
    }
}
