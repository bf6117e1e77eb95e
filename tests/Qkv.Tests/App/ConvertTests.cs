using Qkv.Parameters;

namespace Qkv.Tests.App;

/// <summary>A model in another type is the same model, and nothing that belongs to it is lost.</summary>
public sealed class ConvertTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("float16", ElementType.F16, 1f / 2048)]
    [InlineData("bfloat16", ElementType.BF16, 1f / 256)]
    [InlineData("float32", ElementType.F32, 0f)]
    public void Every_parameter_is_the_nearest_of_the_type(string name, ElementType type, float bound)
    {
        string source = Command.Golden("bert-tiny"), target = Path.Combine(_directory.Path, "model");
        Command.Succeeds("convert", "--model", source, "--output", target, "--type", name);
        using ParameterFile before = ParameterFile.OpenDirectory(source), after = ParameterFile.OpenDirectory(target);
        Assert.Equal(before.Parameters.Keys.Order(), after.Parameters.Keys.Order());
        foreach (ParameterInfo parameter in before.Parameters.Values.Where(parameter => parameter.Type == ElementType.F32))
        {
            Assert.Equal(type, after.Parameters[parameter.Name].Type);
            float[] old = new float[parameter.Count], stored = new float[parameter.Count];
            before.Read(parameter.Name, 0, old);
            after.Read(parameter.Name, 0, stored);
            // Half of the last place; below float16's normal numbers the places are 2⁻²⁴ apart.
            for (int i = 0; i < old.Length; i++) Assert.InRange(MathF.Abs(stored[i] - old[i]), 0, MathF.Max(bound * MathF.Abs(old[i]), type == ElementType.F16 ? 1f / (1 << 25) : 0f));
        }
        Assert.Contains($"\"torch_dtype\": \"{name}\"", File.ReadAllText(Path.Combine(target, "config.json")));
        Assert.Equal(TextEncoder.Load(source).Dimensions, TextEncoder.Load(target).Dimensions);
    }

    [Fact]
    public void Nothing_that_is_there_is_overwritten() => Command.Fails(2, "is there already", "convert", "--output", _directory.Path);
}
