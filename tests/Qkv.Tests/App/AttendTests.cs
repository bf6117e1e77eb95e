using System.Text.Json;
using System.Xml.Linq;
using Qkv.Parameters;

namespace Qkv.Tests.App;

public class AttendTests
{
    private const string Fish = "我想吃酸菜鱼";

    [Fact]
    public void A_terminal_shows_the_average_and_the_most_decided_head()
    {
        Ran ran = Command.Succeeds("attend", Fish);
        Assert.StartsWith("bundled  4 layers, 4 heads of D = 64, C = 256\n8 tokens  [CLS] 我 想 吃 酸 菜 鱼 [SEP]\n", ran.Output);
        Assert.Contains("layer 3, average of the 4 heads", ran.Output);
        JsonElement[] heads = [.. Command.Succeeds("attend", Fish, "--json").Json.GetProperty("layers")[0].GetProperty("heads").EnumerateArray()];
        int decided = heads.MinBy(head => head.GetProperty("entropy").GetSingle()).GetProperty("head").GetInt32();
        Assert.Contains($"layer 3, head {decided}  the most decided", ran.Output);
        Assert.Equal("", ran.Error);
    }

    [Fact]
    public void Rows_of_a_map_are_aligned_for_full_width_characters()
    {
        string[] map = [.. Command.Succeeds("attend", Fish, "--head", "0").Output.Split('\n').Skip(5).Take(9)];
        Assert.Equal("       [CLS]    我    想    吃    酸    菜    鱼 [SEP]   looks most at", map[0]);
        // Every value ends in the column that its token ends in.
        Assert.All(map[1..], line => Assert.Matches(@"^ *(\[CLS\]|\[SEP\]|我|想|吃|酸|菜|鱼) ( {3}\.\d\d| {5}·){8}   ", line));
    }

    [Fact]
    public void Colour_is_for_terminals_that_have_it()
    {
        Assert.DoesNotContain('\u001b', Command.Run("attend", Fish).Output);
        Assert.DoesNotContain('\u001b', Command.RunOn([], ["attend", Fish], isInteractive: true, hasColour: false).Output);
        Assert.Contains('\u001b', Command.RunOn([], ["attend", Fish], isInteractive: true, hasColour: true).Output);
    }

    [Theory]
    [InlineData(40)]
    [InlineData(60)]
    [InlineData(100)]
    public void No_line_of_a_map_is_wider_than_the_terminal(int width)
    {
        Ran ran = Command.RunOn([], ["attend", "Attention is all you need, 不是吗"], isInteractive: true, hasColour: false, width);
        Assert.All(ran.Output.Split('\n').Skip(5).Where(line => line.StartsWith(' ')), line => Assert.InRange(Qkv.App.Output.DisplayWidth.Of(line), 0, width));
    }

    [Fact]
    public void Json_is_as_the_design_says()
    {
        JsonElement json = Command.Succeeds("attend", Fish, "--no-special-tokens", "--json").Json;
        Assert.Equal(["model", "tokens", "layers"], json.EnumerateObject().Select(member => member.Name));
        Assert.Equal(Fish.Select(c => c.ToString()), json.GetProperty("tokens").EnumerateArray().Select(token => token.GetString()));
        JsonElement layer = Assert.Single(json.GetProperty("layers").EnumerateArray());
        Assert.Equal(["layer", "heads", "average"], layer.EnumerateObject().Select(member => member.Name));
        Assert.Equal(3, layer.GetProperty("layer").GetInt32());
        Assert.Equal(4, layer.GetProperty("heads").GetArrayLength());
        foreach (JsonElement matrix in layer.GetProperty("heads").EnumerateArray().Select(head => head.GetProperty("weights")).Append(layer.GetProperty("average")))
        {
            Assert.Equal(6, matrix.GetArrayLength());
            Assert.All(matrix.EnumerateArray(), row => Assert.Equal(1.0, row.EnumerateArray().Sum(weight => weight.GetDouble()), 5));
        }
    }

    [Fact]
    public void Json_has_the_numbers_of_the_trace()
    {
        JsonElement layers = Command.Succeeds("attend", Fish, "--layer", "all", "--head", "2", "--format", "json").Json.GetProperty("layers");
        AttentionTrace trace = TextEncoder.Load(Command.Bundled).Trace(Fish);
        Assert.Equal(4, layers.GetArrayLength());
        for (int layer = 0; layer < 4; layer++)
        {
            JsonElement head = Assert.Single(layers[layer].GetProperty("heads").EnumerateArray());
            Assert.Equal(2, head.GetProperty("head").GetInt32());
            Assert.Equal(trace.WeightsOf(0, layer, 2).ToArray(), head.GetProperty("weights").EnumerateArray().SelectMany(row => row.EnumerateArray()).Select(weight => weight.GetSingle()));
        }
    }

    [Fact]
    public void A_picture_is_well_formed_escaped_and_described()
    {
        using var directory = new TemporaryDirectory();
        Command.Succeeds("attend", "吃 <b>&amp;</b> \"鱼\"\u0001\u202e", "--pair", "]]>", "--layer", "all", "--output", directory.File("a.svg"));
        XDocument svg = XDocument.Parse(File.ReadAllText(directory.File("a.svg")));
        XNamespace ns = "http://www.w3.org/2000/svg";
        Assert.Equal(ns + "svg", svg.Root!.Name);
        Assert.Matches(@"^0 0 \d+ \d+$", svg.Root.Attribute("viewBox")!.Value);
        Assert.Equal("吃 <b>&amp;</b> \"鱼\" · ]]>", svg.Root.Element(ns + "title")!.Value);
        // A caption for each of 4 layers: the average and 4 heads.
        Assert.Equal(20, svg.Descendants(ns + "text").Count(text => text.Value.StartsWith("layer ", StringComparison.Ordinal)));
        Assert.DoesNotContain(svg.Descendants(), element => element.Name.LocalName == "b");
    }

    [Fact]
    public void Tensors_are_those_of_the_chosen_layer()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.File("a.safetensors");
        Command.Succeeds("attend", Fish, "--layer", "1", "--format", "safetensors", "--output", path);
        using var file = new SafetensorsFile(path);
        Assert.Equal([1, 4, 8, 8], file.Parameters["layers.1.weights"].Shape);
        Assert.Equal([1, 4, 8, 64], file.Parameters["layers.1.queries"].Shape);
        Assert.Contains("input_ids", file.Parameters.Keys);
        Assert.DoesNotContain(file.Parameters.Keys, name => name.StartsWith("layers.0", StringComparison.Ordinal));
    }

    [Fact]
    public void An_unknown_token_is_shown_with_its_text()
    {
        Ran ran = Command.Succeeds("attend", "吃🍜", "--no-special-tokens");
        Assert.Contains("2 tokens  吃 [UNK]🍜", ran.Output);
        Assert.Equal("[UNK]", Command.Succeeds("attend", "吃🍜", "--no-special-tokens", "--json").Json.GetProperty("tokens")[1].GetString());
    }

    [Fact]
    public void A_long_text_is_truncated_aloud_and_listed_instead_of_drawn()
    {
        string text = string.Concat(Enumerable.Repeat(Fish, 100_000 / Fish.Length + 1));
        Ran ran = Command.Succeeds("attend", text);
        Command.IsOneSentence("only 512 of 100,004 tokens were read", ran.Error);
        Assert.Contains("512 tokens", ran.Output);
        Assert.Contains("--format svg draws it", ran.Output);
        // Three tokens for each of 512, of the average and of a head.
        Assert.InRange(ran.Lines.Length, 2 * 512, 2 * 512 + 10);
    }

    [Theory]
    [InlineData("--layer must be from 0 to 3", "--layer", "4")]
    [InlineData("--layer must be from 0 to 3", "--layer", "-1")]
    [InlineData("--layer must be from 0 to 3", "--layer", "last")]
    [InlineData("--head must be from 0 to 3", "--head", "4")]
    [InlineData("--format safetensors needs --output", "--format", "safetensors")]
    [InlineData("contradict each other", "--json", "--format", "svg")]
    [InlineData("there is no directory", "--output", "no/such/directory/a.svg")]
    public void What_cannot_be_shown_is_refused(string words, params string[] options) => Command.Fails(2, words, ["attend", Fish, .. options]);

    [Theory]
    [InlineData("")]
    [InlineData(" \t\u0001")]
    public void An_empty_text_is_refused(string text)
    {
        Command.Fails(2, "the text has no tokens", "attend", text);
        Command.Fails(1, "no tokens", "attend", text, "--no-special-tokens");
    }
}
