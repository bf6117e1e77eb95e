using Qkv.App.Output;

namespace Qkv.Tests.App;

public class DisplayWidthTests
{
    [Theory]
    [InlineData("", 0)]
    [InlineData("abc", 3)]
    [InlineData("酸菜鱼", 6)]
    [InlineData("ＡＢ", 4)]
    [InlineData("ｱ", 1)]
    [InlineData("한국어", 6)]
    [InlineData("e\u0301", 1)]
    [InlineData("\u1112\u1161\u11ab", 2)]
    [InlineData("a\u200bb", 2)]
    [InlineData("🍜", 2)]
    [InlineData("𠀀", 2)]
    [InlineData("……·", 3)]
    [InlineData("\u3248\u303f\u2329", 4)]
    public void Text_is_as_wide_as_a_terminal_shows_it(string text, int width) => Assert.Equal(width, DisplayWidth.Of(text));

    [Theory]
    [InlineData("酸菜鱼", 6, "酸菜鱼")]
    [InlineData("酸菜鱼", 5, "酸菜…")]
    [InlineData("酸菜鱼", 4, "酸… ")]
    [InlineData("attention", 6, "atten…")]
    [InlineData("a", 3, "a  ")]
    public void Text_is_cut_and_filled_to_a_width(string text, int width, string expected)
    {
        Assert.Equal(expected, DisplayWidth.Left(text, width));
        Assert.Equal(width, DisplayWidth.Of(DisplayWidth.Right(text, width)));
    }
}
