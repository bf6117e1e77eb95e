using System.Globalization;
using System.Text;
using Qkv.Text;

namespace Qkv.Tests.Text;

/// <summary>The tables of the Rust tokenizers, held against .NET's own where both are of the same mind.</summary>
public class UnicodeDataTests
{
    private static IEnumerable<Rune> All => Enumerable.Range(0, 0x110000).Where(Rune.IsValid).Select(code => new Rune(code));

    [Fact]
    public void Categories_are_those_of_NET_or_of_an_older_Unicode()
    {
        int newerMarks = 0;
        foreach (Rune rune in All)
        {
            UnicodeCategory category = Rune.GetUnicodeCategory(rune);
            if (UnicodeData.IsNonspacingMark(rune.Value))
            {
                // A few became spacing marks later.
                Assert.True(category is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark, $"U+{rune.Value:X4} {category}");
            }
            else if (category == UnicodeCategory.NonSpacingMark)
            {
                newerMarks++;
            }
            Assert.Equal(Rune.IsWhiteSpace(rune), UnicodeData.IsWhiteSpace(rune.Value));
        }
        Assert.InRange(newerMarks, 400, 700);
    }

    [Fact]
    public void Lower_case_is_that_of_NET_but_for_what_is_newer()
    {
        Span<int> lower = stackalloc int[2];
        var different = new List<int>();
        foreach (Rune rune in All)
        {
            int count = UnicodeData.ToLower(rune.Value, lower);
            if (count != 1 || lower[0] != Rune.ToLowerInvariant(rune).Value)
            {
                different.Add(rune.Value);
            }
        }
        // U+0130 is two code points; the others were given lower case in Unicode 16 and 17.
        Assert.All(different, code => Assert.True(code is 0x130 or (>= 0xA7CB and <= 0xA7DC) or (>= 0x10D50 and <= 0x10D65) or (>= 0x16EA0 and <= 0x16EB8), $"U+{code:X4}"));
    }

    [Theory]
    [InlineData("é", "e\u0301")]
    [InlineData("ế", "e\u0302\u0301")]
    [InlineData("각", "\u1100\u1161\u11A8")]
    [InlineData("가", "\u1100\u1161")]
    [InlineData("\u212B", "A\u030A")]
    [InlineData("\uF900", "\u8C48")]
    [InlineData("ﬁ", "ﬁ")]
    public void Decomposition_is_canonical_and_complete(string text, string expected)
    {
        Span<int> parts = stackalloc int[4];
        int count = UnicodeData.Decompose(text[0], parts);
        Assert.Equal(expected.Select(c => (int)c), parts[..count].ToArray());
    }

    [Fact]
    public void Decomposed_text_is_in_canonical_order_and_stays()
    {
        Span<int> parts = stackalloc int[4], again = stackalloc int[4];
        foreach (Rune rune in All)
        {
            int count = UnicodeData.Decompose(rune.Value, parts);
            for (int i = 0; i < count; i++)
            {
                Assert.Equal(1, UnicodeData.Decompose(parts[i], again));
                int combining = UnicodeData.CombiningClass(parts[i]);
                Assert.True(i == 0 || combining == 0 || combining >= UnicodeData.CombiningClass(parts[i - 1]));
            }
        }
    }

    [Theory]
    [InlineData(0x2B820, false)]
    [InlineData(0x2B920, true)]
    [InlineData(0x4E00, true)]
    [InlineData(0x3042, false)]
    public void Chinese_characters_are_those_of_the_Rust_normalizer(int code, bool expected) => Assert.Equal(expected, UnicodeData.IsChinese(code));
}
