using System.Text.Json;
using Qkv.App.Attention;

namespace Qkv.Tests.App;

/// <summary>Where heads look: shares of hand-made weights, and the command on the bundled model.</summary>
public sealed class HeadFactsTests
{
    // [CLS] a , a [SEP]
    private static readonly HeadToken[] s_tokens =
    [
        new(101, Look.Cls, false), new(7, null, false), new(8, null, true), new(7, null, false), new(102, Look.Sep, false),
    ];

    [Fact]
    public void SharesAreMeansOverTheRowsThatHaveThePlace()
    {
        float[] weights =
        [
            1f, 0f, 0f, 0f, 0f,
            0.1f, 0.2f, 0.3f, 0.35f, 0.05f,
            0f, 0.5f, 0.25f, 0.25f, 0f,
            0f, 0.25f, 0.75f, 0f, 0f,
            0f, 0f, 0f, 0f, 1f,
        ];
        var facts = new HeadFacts(2, 1);
        facts.Add(weights, s_tokens);
        Assert.Equal((2, 1), (facts.Layer, facts.Head));
        Assert.Equal((0.2 + 0.25 + 0) / 3, facts.Share(Look.Self), 6);
        Assert.Equal((0.5 + 0.75) / 2, facts.Share(Look.Previous), 6); // the first word has no word before it
        Assert.Equal((0.3 + 0.25) / 2, facts.Share(Look.Next), 6);
        Assert.Equal(0.1 / 3, facts.Share(Look.Cls), 6);
        Assert.Equal(0.05 / 3, facts.Share(Look.Sep), 6);
        Assert.Equal((0.35 + 0.25) / 2, facts.Share(Look.SameWord), 6);
        Assert.Equal((0.3 + 0.75) / 2, facts.Share(Look.Punctuation), 6); // the comma itself has no other
        Assert.Equal(1.0 / 5, facts.Chance(Look.SameWord), 6);
        Assert.Equal((0.1 + 0.3 + 2 * 0.35 + 3 * 0.05 + 0.5 + 0.25 + 2 * 0.25 + 0.75) / 3, facts.Distance, 6);
    }

    [Fact]
    public void AHeadThatLooksAtEverythingAlikeHasItsChanceEverywhere()
    {
        var facts = new HeadFacts(0, 0);
        facts.Add(Enumerable.Repeat(0.2f, 25).ToArray(), s_tokens);
        foreach (Look look in Enum.GetValues<Look>()) Assert.Equal(facts.Chance(look), facts.Share(look), 6);
        Assert.Equal(Math.Log(5), facts.Entropy, 6);
    }

    [Fact]
    public void TheCommandNamesTheHeadsOfTheBundledModel()
    {
        byte[] text = "我想吃酸菜鱼，你想吃什么？\n\nThe cat sat on the mat, and the dog sat on the cat.\n"u8.ToArray();
        Ran ran = Command.Run(text, "evaluate", "heads", "--input", "-", "--json");
        Assert.True(ran.Code == 0, ran.Error);
        JsonElement[] heads = [.. ran.Json.GetProperty("heads").EnumerateArray()];
        Assert.Equal(16, heads.Length);
        // A small model that has learned anything has heads for the neighbours.
        Assert.True(heads.Max(head => head.GetProperty("previous").GetDouble()) > 0.5);
        Assert.True(heads.Max(head => head.GetProperty("next").GetDouble()) > 0.5);
        Assert.All(heads, head => Assert.InRange(head.GetProperty("cls").GetDouble() + head.GetProperty("sep").GetDouble(), 0, 1));

        Ran table = Command.Run(text, "evaluate", "heads", "--input", "-");
        Assert.Contains("over 2 texts", table.Output);
        Assert.Contains("most on previous: layer ", table.Output);
    }

    [Fact]
    public void AFileWithoutTextIsNamed()
    {
        Ran ran = Command.Run("\n \n"u8.ToArray(), "evaluate", "heads", "--input", "-");
        Assert.Equal(1, ran.Code);
        Command.IsOneSentence("standard input has no text", ran.Error);
    }
}
