using System.Runtime.InteropServices;
using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

/// <summary>The same parameters come out of every container.</summary>
public class ContainerTests
{
    [Fact]
    public void Sharded_equals_single_file()
    {
        using ParameterFile expected = ParameterFile.OpenDirectory(Golden.Path("bert-tiny"));
        using ParameterFile actual = ParameterFile.OpenDirectory(Golden.Path("bert-tiny-sharded"));
        Assert.IsType<ShardedFile>(actual);
        Assert.Equal(expected.Parameters.Keys.Order(), actual.Parameters.Keys.Order());
        AssertSame(expected, actual, name => name);
        Assert.EndsWith("model-00001-of-00004.safetensors", actual.Parameters["bert.encoder.layer.0.attention.self.query.weight"].File);
    }

    [Fact]
    public void PyTorch_equals_safetensors_and_holds_the_tied_tensors()
    {
        using ParameterFile expected = ParameterFile.OpenDirectory(Golden.Path("bert-tiny"));
        using ParameterFile actual = ParameterFile.OpenDirectory(Golden.Path("bert-tiny-bin"));
        Assert.IsType<TorchFile>(actual);
        AssertSame(expected, actual, name => name);
        Assert.Equal(["cls.predictions.decoder.bias", "cls.predictions.decoder.weight"], actual.Parameters.Keys.Except(expected.Parameters.Keys).Order());
        Assert.Equal(actual.ReadAll("bert.embeddings.word_embeddings.weight"), actual.ReadAll("cls.predictions.decoder.weight"));
    }

    [Fact]
    public void Legacy_names_hold_the_same_tensors()
    {
        using ParameterFile expected = ParameterFile.OpenDirectory(Golden.Path("bert-tiny"));
        using ParameterFile actual = ParameterFile.OpenDirectory(Golden.Path("bert-tiny-legacy-names"));
        AssertSame(expected, actual, name => name.Replace("LayerNorm.weight", "LayerNorm.gamma").Replace("LayerNorm.bias", "LayerNorm.beta"));
        long[] positions = new long[60];
        actual.ReadInt64("bert.embeddings.position_ids", 4, positions);
        Assert.Equal(Enumerable.Range(4, 60).Select(i => (long)i), positions);
    }

    [Theory]
    [InlineData("bert-tiny-f16", ElementType.F16)]
    [InlineData("bert-tiny-bf16", ElementType.BF16)]
    public void Half_width_parameters_are_widened_exactly(string folder, ElementType type)
    {
        using ParameterFile file = ParameterFile.OpenDirectory(Golden.Path(folder));
        foreach ((string name, ParameterInfo parameter) in file.Parameters)
        {
            Assert.Equal(type, parameter.Type);
            ReadOnlySpan<ushort> stored = MemoryMarshal.Cast<byte, ushort>(file.ReadAllBytes(name));
            float[] widened = file.ReadAll(name);
            for (int i = 0; i < widened.Length; i++)
            {
                Assert.Equal(type == ElementType.F16 ? (float)BitConverter.UInt16BitsToHalf(stored[i]) : BitConverter.UInt32BitsToSingle((uint)stored[i] << 16), widened[i]);
            }
        }
    }

    [Theory]
    [InlineData("bert-tiny")]
    [InlineData("bert-tiny-f16")]
    [InlineData("bert-tiny-bf16")]
    [InlineData("bert-tiny-bin")]
    [InlineData("bert-tiny-sharded")]
    public void A_part_is_a_part_of_the_whole_from_many_threads(string folder)
    {
        const string Name = "bert.embeddings.word_embeddings.weight";
        using ParameterFile file = ParameterFile.OpenDirectory(Golden.Path(folder));
        float[] whole = file.ReadAll(Name);
        Parallel.For(0, 70, length =>
        {
            float[] part = new float[length];
            int start = (length * 31) % (whole.Length - length);
            file.Read(Name, start, part);
            Assert.Equal(whole[start..(start + length)], part);
        });
    }

    [Fact]
    public void Every_view_of_a_PyTorch_file_reads_as_PyTorch_reads_it()
    {
        using ParameterFile expected = ParameterFile.Open(Golden.Path("bert-tiny-bin", "views_expected.safetensors"));
        using ParameterFile actual = ParameterFile.Open(Golden.Path("bert-tiny-bin", "views.pt"));
        Assert.Equal(expected.Parameters.Keys.Order(), actual.Parameters.Keys.Order());
        foreach ((string name, ParameterInfo parameter) in expected.Parameters)
        {
            Assert.Equal(parameter.Type, actual.Parameters[name].Type);
            Assert.Equal(parameter.Shape, actual.Parameters[name].Shape);
            Assert.Equal(expected.ReadAllBytes(name), actual.ReadAllBytes(name));
        }
    }

    [Fact]
    public void Doubles_are_rounded_to_nearest()
    {
        using TemporaryDirectory directory = new();
        double[] values = [.. Enumerable.Range(0, 20_000).Select(i => Math.Pow(1.0000001, i) / 3), double.MaxValue, double.NegativeInfinity, 1e-300];
        SafetensorsWriter.Write(directory.File("a.safetensors"), [SafetensorsTensor.Of("x", [values.Length], values)]);
        using ParameterFile file = ParameterFile.Open(directory.File("a.safetensors"));
        Assert.Equal(values.Select(value => (float)value), file.ReadAll("x"));
    }

    [Fact]
    public void Integers_are_no_parameters()
    {
        using ParameterFile file = ParameterFile.OpenDirectory(Golden.Path("bert-tiny-legacy-names"));
        Refusal.Contains(() => file.ReadAll("bert.embeddings.position_ids"), "model.safetensors", "position_ids", "I64", "F32");
        Refusal.Contains(() => file.ReadInt64("cls.predictions.bias", 0, new long[1]), "model.safetensors", "cls.predictions.bias", "F32", "I64");
    }

    [Fact]
    public void What_is_asked_for_must_be_there()
    {
        using ParameterFile file = ParameterFile.OpenDirectory(Golden.Path("bert-tiny"));
        Assert.Throws<ArgumentException>(() => file.Read("nothing", 0, new float[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Read("cls.predictions.bias", 1, new float[200]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Read("cls.predictions.bias", -1, new float[2]));
        Assert.Throws<ArgumentException>(() => file.ReadBytes("cls.predictions.bias", 0, new byte[3]));
        file.Read("cls.predictions.bias", 200, []);
    }

    [Fact]
    public void A_directory_without_parameters_says_what_was_looked_for()
    {
        using TemporaryDirectory directory = new();
        Refusal.Contains(() => ParameterFile.OpenDirectory(directory.Path), directory.Path, "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json");
        Assert.Throws<DirectoryNotFoundException>(() => ParameterFile.OpenDirectory(directory.File("none")));
        Refusal.Contains(() => ParameterFile.Open(directory.Write("model.h5", "")), "model.h5", ".safetensors");
    }

    [Fact]
    public void A_file_that_becomes_shorter_while_it_is_open_is_an_error_and_no_crash()
    {
        using TemporaryDirectory directory = new();
        string path = directory.Write("model.safetensors", File.ReadAllBytes(Golden.Path("bert-tiny", "model.safetensors")));
        using ParameterFile file = ParameterFile.Open(path);
        using (FileStream stream = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            stream.SetLength(10_000);
        }

        Refusal.Contains(() => file.ReadAll("cls.predictions.bias"), "model.safetensors", "truncated");
    }

    private static void AssertSame(ParameterFile expected, ParameterFile actual, Func<string, string> rename)
    {
        foreach ((string name, ParameterInfo parameter) in expected.Parameters)
        {
            Assert.Equal(parameter.Shape, actual.Parameters[rename(name)].Shape);
            Assert.Equal(expected.ReadAll(name), actual.ReadAll(rename(name)));
        }
    }
}
