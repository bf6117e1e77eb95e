using System.Buffers;
using System.Text;
using CsCheck;
using Qkv.Text;
using Encoding = Qkv.Text.Encoding;

namespace Qkv.Tests.Text;

/// <summary>What must hold for any text.</summary>
public class TokenizerPropertyTests
{
    private static readonly string[] s_words =
        ["hello", "World", "unbelievability", "naïve", "[MASK]", "[SEP]", "中文", "我想吃酸菜鱼", "한국어", "don't", "...", " ", "\t", "\u0301", "𠀀", "🐟", "\u302E", "\uD834\uDD65"];

    private static readonly Gen<string> s_text = Gen.OneOf(
        Gen.Int[0, s_words.Length - 1].Select(i => s_words[i]), Gen.Char.Select(c => c.ToString()), Gen.Int[0, 0x10FFFF].Select(code => Rune.IsValid(code) ? new Rune(code).ToString() : " "))
        .Array[0, 12].Select(string.Concat);

    private static Tokenizer Tokenizer => TokenizerFixture.Variant("bert-base-uncased");

    [Fact]
    public void Offsets_lie_in_the_text_and_ascend() => s_text.Repeatable().Sample(text =>
    {
        Encoding encoding = Tokenizer.Encode(text, options: new() { AddSpecialTokens = false });
        int codePoints = text.EnumerateRunes().Count();
        for (int i = 0; i < encoding.Length; i++)
        {
            (int start, int end) = (encoding.Offsets[i].Start, encoding.Offsets[i].End);
            Assert.InRange(start, 0, end - 1);
            Assert.InRange(end, 1, text.Length);
            Assert.InRange(encoding.CodePointOffsets[i].End, 1, codePoints);
            Assert.Equal(text[..start].EnumerateRunes().Count(), encoding.CodePointOffsets[i].Start);
            if (i > 0)
            {
                Assert.True(encoding.WordIds[i] - encoding.WordIds[i - 1] is 0 or 1);
                Assert.True(start >= encoding.Offsets[i - 1].Start);
            }
        }
    }, iter: 3000);

    [Fact]
    public void Texts_joined_by_a_space_are_tokens_joined() => Gen.Select(s_text, s_text).Repeatable().Sample((first, second) =>
    {
        var bare = new EncodeOptions { AddSpecialTokens = false };
        Assert.Equal(
            Tokenizer.Encode(first, options: bare).Ids.AddRange(Tokenizer.Encode(second, options: bare).Ids),
            Tokenizer.Encode(first + " " + second, options: bare).Ids);
    }, iter: 2000);

    [Fact]
    public void The_table_of_the_normalizer_equals_its_stages() => Gen.Select(s_text, Gen.Bool, Gen.Bool, Gen.Bool, Gen.Bool).Repeatable().Sample((text, clean, chinese, strip, lower) =>
    {
        var options = new NormalizerOptions(clean, chinese, strip, lower);
        var normalized = new NormalizedText { Aligned = true };
        BertNormalizer.For(options).Normalize(text, 0, normalized);
        var expected = new StringBuilder();
        var sources = new List<int>();
        foreach (AlignedCode code in NormalizerStages.Run(text, options))
        {
            string written = new Rune(code.Code).ToString();
            expected.Append(written);
            sources.AddRange(Enumerable.Repeat(code.Source, written.Length));
        }
        Assert.Equal(expected.ToString(), normalized.Characters.ToString());
        Assert.Equal(sources, normalized.Sources.ToArray());
    }, iter: 3000);

    [Fact]
    public void The_hot_path_gives_the_same_ids() => Gen.Select(s_text, s_text, Gen.Int[3, 20], Gen.Bool).Repeatable().Sample((text, pair, length, cut) =>
    {
        var options = new EncodeOptions { MaxLength = cut ? length : null };
        ArrayBufferWriter<int> ids = new(), typeIds = new();
        Appended single = Tokenizer.Append(text, ids, options);
        Assert.Equal(Tokenizer.Encode(text, null, options).Ids, ids.WrittenSpan.ToArray());
        Assert.Equal(Tokenizer.Encode(text).Length, single.Tokens + single.Dropped);
        ids.Clear();
        Appended both = Tokenizer.Append(text, pair, ids, typeIds, options);
        Encoding expected = Tokenizer.Encode(text, pair, options with { WholeText = true });
        Assert.Equal(expected.Ids, ids.WrittenSpan.ToArray());
        Assert.Equal(expected.TypeIds, typeIds.WrittenSpan.ToArray());
        Assert.Equal(expected.Overflowing.Length > 0, both.Truncated);
    }, iter: 2000);

    [Fact]
    public void A_batch_is_its_texts_one_by_one() => s_text.Array[0, 6].Repeatable().Sample(texts =>
    {
        IReadOnlyList<Encoding> padded = Tokenizer.EncodeBatch(texts, new EncodeOptions { Padding = Padding.Longest });
        foreach ((string text, Encoding encoding) in texts.Zip(padded))
        {
            Encoding alone = Tokenizer.Encode(text);
            Assert.Equal(padded.Max(other => other.Length), encoding.Length);
            Assert.Equal(alone.Ids, encoding.Ids.Take(alone.Length));
            Assert.All(encoding.AttentionMask.Skip(alone.Length), attention => Assert.Equal(0, attention));
        }
    }, iter: 500);

    [Fact]
    public void Windows_of_a_whole_text_cover_it() => Gen.Select(s_text.Array[1, 8], Gen.Int[4, 12], Gen.Bool).Repeatable().Sample((parts, length, left) =>
    {
        string text = string.Join(' ', parts);
        var options = new EncodeOptions { MaxLength = length, WholeText = true, Stride = 1, TruncationSide = left ? Side.Left : Side.Right };
        Encoding encoding = Tokenizer.Encode(text, options: options), whole = Tokenizer.Encode(text);
        IEnumerable<Encoding> windows = left ? encoding.Overflowing.Reverse().Append(encoding) : encoding.Overflowing.Prepend(encoding);
        var joined = new List<int>();
        foreach (Encoding window in windows)
        {
            Assert.InRange(window.Length, 2, length);
            // Every window but the first shares its first token with the end of the one before.
            joined.AddRange(window.Ids[(joined.Count > 0 ? 2 : 1)..^1]);
        }
        Assert.Equal(whole.Ids[1..^1], joined);
    }, iter: 1000);

    [Fact]
    public async Task Many_threads_get_the_same_tokens()
    {
        string[] texts = [.. Enumerable.Range(0, 200).Select(i => string.Concat(Enumerable.Range(0, i % 17).Select(k => s_words[(i * 7 + k * 5) % s_words.Length] + " ")))];
        int[][] expected = [.. texts.Select(text => Tokenizer.Encode(text).Ids.ToArray())];
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(() =>
        {
            var ids = new ArrayBufferWriter<int>();
            for (int round = 0; round < 20; round++)
            {
                for (int i = 0; i < texts.Length; i++)
                {
                    ids.ResetWrittenCount();
                    Tokenizer.Append(texts[i], ids);
                    Assert.Equal(expected[i], ids.WrittenSpan.ToArray());
                }
            }
        })));
    }

    [Fact]
    public void The_hot_path_allocates_nothing()
    {
        string text = string.Concat(Enumerable.Repeat("Hello unbelievability, 我想吃酸菜鱼 [MASK] naïve! ", 50));
        var ids = new ArrayBufferWriter<int>(1 << 14);
        Tokenizer tokenizer = Tokenizer;
        long allocated = long.MaxValue;
        for (int round = 0; round < 50 && allocated > 0; round++)
        {
            ids.ResetWrittenCount();
            long before = GC.GetAllocatedBytesForCurrentThread();
            tokenizer.Append(text, ids, new EncodeOptions { MaxLength = 512 });
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void A_text_of_a_hundred_thousand_characters_reports_what_was_cut()
    {
        var ids = new ArrayBufferWriter<int>();
        Appended appended = Tokenizer.Append(new string('中', 100_000), ids, new EncodeOptions { MaxLength = 512 });
        Assert.Equal(new Appended(512, 100_000 - 510), appended);
        Assert.True(appended.Truncated);
    }

    [Fact]
    public void Windows_without_bound_are_refused()
    {
        string text = string.Concat(Enumerable.Repeat("a b c d ", 3000));
        Assert.Throws<ArgumentException>(() => Tokenizer.Encode(text, text, new() { MaxLength = 8, WholeText = true }));
        Assert.Throws<ArgumentException>(() => Tokenizer.Encode(text, options: new() { MaxLength = 6000, Stride = 5997, WholeText = true }));
    }

    [Theory]
    [InlineData(1, 0, Padding.None)]
    [InlineData(-1, 0, Padding.None)]
    [InlineData(10, 9, Padding.None)]
    [InlineData(10, -1, Padding.None)]
    [InlineData(null, 0, Padding.MaxLength)]
    public void Options_that_cannot_be_met_are_refused(int? length, int stride, Padding padding)
    {
        Tokenizer small = TokenizerFixture.FromJson(TokenizerFixture.Small());
        Assert.Throws<ArgumentException>(() => small.Encode("a b c", options: new() { MaxLength = length, Stride = stride, Padding = padding }));
    }
}
