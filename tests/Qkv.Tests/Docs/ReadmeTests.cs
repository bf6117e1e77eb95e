using Qkv.App;
using Qkv.App.Output;

namespace Qkv.Tests.Docs;

/// <summary>The examples of README in both languages, run.</summary>
public class ReadmeTests
{
    [Theory]
    [InlineData("README.md")]
    [InlineData("README.zh-CN.md")]
    public void The_example_runs_and_says_what_it_says(string file)
    {
        new Document(file).Check("code", "readme", Document.Region("tests/Qkv.Tests/Docs/ReadmeTests.cs", "readme"));
        string model = Path.Combine(Document.Root, "models");

        // begin readme
        TextEncoder encoder = TextEncoder.Load(model); // a Hugging Face directory

        float[] vector = encoder.Embed("我想吃酸菜鱼");
        TokenPrediction guess = encoder.FillMask("请问附近有什么好吃的[MASK]馆吗？")[0][0]; // 餐, 59 %

        AttentionTrace trace = encoder.Trace("我想吃酸菜鱼");
        ReadOnlySpan<float> weights = trace.WeightsOf(sequence: 0, layer: 0, head: 3); // (L, L): who looks at whom
        float[] queries = trace["layers.0.queries"].ToFloats(); // (B, H, L, D)
        trace.Save("trace.safetensors"); // everything that was computed
        // end readme

        File.Delete("trace.safetensors");
        Assert.Equal(encoder.Dimensions, vector.Length);
        Assert.Equal("餐", guess.Token);
        Assert.Equal(0.59f, guess.Score, 0.005f);
        Assert.Equal(8 * 8, weights.Length); // [CLS], six characters, [SEP]
        Assert.Equal(4 * 8 * 64, queries.Length);
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("README.zh-CN.md")]
    public void The_picture_is_what_the_first_command_prints(string file)
    {
        using var results = new MemoryStream();
        var terminal = new Terminal(results, Stream.Null, Stream.Null);
        Assert.Equal(0, CommandLine.Run(["attend", "我想吃酸菜鱼", "--model", Path.Combine(Document.Root, "models")], terminal));
        // Only the name of the model depends on how it was given.
        string picture = System.Text.Encoding.UTF8.GetString(results.ToArray()).Replace("models  4 layers", "bundled  4 layers", StringComparison.Ordinal);
        new Document(file).Check("output", "attend", picture);
    }
}
