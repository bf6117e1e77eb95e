using System.Text;
using System.Text.Json;
using Qkv.App.Output;

namespace Qkv.Tests.App;

public class OutputTests
{
    [Theory]
    [InlineData("酸菜鱼 𠀀🍜 <&'>é\u3000", "酸菜鱼 𠀀🍜 <&'>é\u3000")]
    [InlineData("\"\\\n\r\t", "\\\"\\\\\\n\\r\\t")]
    [InlineData("\u0000\u001b\u007f\u0085\u2028", "\\u0000\\u001b\\u007f\\u0085\\u2028")]
    public void Json_strings_escape_only_what_must_be(string text, string escaped)
    {
        using var output = new MemoryStream();
        using (var lines = new JsonLineWriter(output)) lines.Write(text, (json, value) => json.WriteStringValue(value));
        string line = Encoding.UTF8.GetString(output.ToArray());
        Assert.Equal($"\"{escaped}\"\n", line);
        Assert.Equal(text, JsonSerializer.Deserialize<string>(line));
    }

    [Fact]
    public void Halves_of_surrogate_pairs_become_valid_json()
    {
        using var output = new MemoryStream();
        using (var lines = new JsonLineWriter(output)) lines.Write("a\ud800b\udc00", (json, value) => json.WriteStringValue(value));
        Assert.Equal("a\ufffdb\ufffd", JsonSerializer.Deserialize<string>(output.ToArray()));
    }

    [Fact]
    public void Positions_are_counted_in_code_points()
    {
        const string text = "a🍜\ud800b";
        Assert.Equal([0, 1, 2, 2, 3, 4], Enumerable.Range(0, 6).Select(position => CodePoints.Before(text, position)));
    }

    [Fact]
    public void What_fails_under_a_temporary_name_is_told_by_the_name_that_was_asked_for()
    {
        using var file = Unfinished.Beside("/results/vectors.npy");
        using var within = Unfinished.Beside(file.Name + "/model.safetensors");
        Assert.Equal("No space left on device : '/results/vectors.npy/model.safetensors'", Unfinished.ByFinalNames($"No space left on device : '{within.Name}'"));
        Assert.Equal("'a.tmp' is not a model", Unfinished.ByFinalNames("'a.tmp' is not a model"));
    }
}
