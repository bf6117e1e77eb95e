using System.Collections.Immutable;
using System.Text.Json;
using Qkv.Text;

namespace Qkv.Tests.Text;

/// <summary>Every row of Golden/tokenizer: what Hugging Face's Rust tokenizers give, from either file layout.</summary>
public class TokenizerGoldenTests
{
    /// <summary>The variants that have rows of a kind, from tokenizer.json and from vocab.txt.</summary>
    public static IEnumerable<TheoryDataRow<string, bool>> Cases(string kind) =>
        from variant in TokenizerFixture.Variants
        where File.Exists(TokenizerFixture.Golden($"{variant}.{kind}.jsonl"))
        from json in (bool[])[true, false]
        select new TheoryDataRow<string, bool>(variant, json);

    [Theory, MemberData(nameof(Cases), "singles")]
    public void Singles_equal_the_Rust_tokenizer(string variant, bool json)
    {
        Tokenizer tokenizer = TokenizerFixture.Variant(variant, json);
        foreach (JsonElement row in TokenizerFixture.Rows(variant + ".singles.jsonl"))
        {
            string text = row.GetProperty("text").GetString()!, id = row.GetProperty("id").GetString()!;
            Encoding encoding = tokenizer.Encode(text);
            Equal(id, row, "ids", encoding.Ids);
            Assert.True(Strings(row.GetProperty("tokens")).SequenceEqual(encoding.Tokens), $"{id}: tokens");
            Equal(id, row, "word_ids", encoding.WordIds);
            Equal(id, row, "offsets", encoding.CodePointOffsets);
            Equal(id, row, "offsets_utf16", encoding.Offsets);
            Assert.All(encoding.TypeIds, typeId => Assert.Equal(0, typeId));
            Assert.All(encoding.AttentionMask, attention => Assert.Equal(1, attention));
            Assert.Equal(row.GetProperty("normalized").GetString(), tokenizer.Normalize(text));
            Assert.Equal(row.GetProperty("decoded").GetString(), tokenizer.Decode(encoding.Ids.AsSpan()));
        }
    }

    [Theory, MemberData(nameof(Cases), "pairs")]
    public void Pairs_truncation_and_padding_equal_the_Rust_tokenizer(string variant, bool json)
    {
        Tokenizer tokenizer = TokenizerFixture.Variant(variant, json);
        foreach (JsonElement row in TokenizerFixture.Rows(variant + ".pairs.jsonl"))
        {
            string id = row.GetProperty("id").GetString()!;
            EncodeOptions options = Options(row.GetProperty("truncation"));
            string text = row.GetProperty("text").GetString()!;
            string? pair = row.GetProperty("pair").GetString();
            if (row.TryGetProperty("error", out _))
            {
                Assert.Throws<ArgumentException>(() => tokenizer.Encode(text, pair, options));
                continue;
            }
            Encoding encoding = tokenizer.Encode(text, pair, options);
            Assert.True(Strings(row.GetProperty("tokens")).SequenceEqual(encoding.Tokens), $"{id}: tokens");
            Same(id, row, encoding);
            Equal(id, row, "special_tokens_mask", encoding.SpecialTokensMask);
            Equal(id, row, "sequence_ids", encoding.SequenceIds);
            JsonElement overflowing = row.GetProperty("overflowing");
            Assert.Equal(overflowing.GetArrayLength(), encoding.Overflowing.Length);
            foreach ((JsonElement expected, Encoding window) in overflowing.EnumerateArray().Zip(encoding.Overflowing))
            {
                Same(id + " overflowing", expected, window);
            }
        }
    }

    [Theory, MemberData(nameof(Cases), "batches")]
    public void Batches_equal_the_Rust_tokenizer(string variant, bool json)
    {
        Tokenizer tokenizer = TokenizerFixture.Variant(variant, json);
        foreach (JsonElement row in TokenizerFixture.Rows(variant + ".batches.jsonl"))
        {
            string id = row.GetProperty("id").GetString()!;
            JsonElement multiple = row.GetProperty("pad_to_multiple_of");
            IReadOnlyList<Encoding> encodings = tokenizer.EncodeBatch([.. Strings(row.GetProperty("texts"))], new EncodeOptions
            {
                Padding = Padding.Longest,
                PadSide = SideOf(row, "pad_side"),
                PadToMultipleOf = multiple.ValueKind == JsonValueKind.Null ? null : multiple.GetInt32(),
            });
            Assert.Equal(row.GetProperty("encodings").GetArrayLength(), encodings.Count);
            foreach ((JsonElement expected, Encoding encoding) in row.GetProperty("encodings").EnumerateArray().Zip(encodings))
            {
                Assert.True(Strings(expected.GetProperty("tokens")).SequenceEqual(encoding.Tokens), $"{id}: tokens");
                Equal(id, expected, "ids", encoding.Ids);
                Equal(id, expected, "type_ids", encoding.TypeIds);
                Equal(id, expected, "attention_mask", encoding.AttentionMask);
                Equal(id, expected, "special_tokens_mask", encoding.SpecialTokensMask);
            }
        }
    }

    [Theory, MemberData(nameof(Cases), "lone-surrogates")]
    public void Lone_surrogates_are_dropped(string variant, bool json)
    {
        string name = variant + ".lone-surrogates.jsonl";
        Tokenizer tokenizer = TokenizerFixture.Variant(variant, json);
        int count = 0;
        foreach ((JsonElement expected, TextRow row) in TokenizerFixture.Rows(name).Zip(JsonLines.Read(TokenizerFixture.Golden(name))))
        {
            Assert.Contains(row.Text, char.IsSurrogate);
            Assert.Equal(Strings(expected.GetProperty("tokens")), tokenizer.Encode(row.Text).Tokens);
            count++;
        }
        Assert.Equal(6, count);
    }

    private static EncodeOptions Options(JsonElement truncation)
    {
        if (truncation.ValueKind == JsonValueKind.Null)
        {
            return default;
        }
        return new EncodeOptions
        {
            MaxLength = truncation.GetProperty("max_length").GetInt32(),
            Truncation = truncation.GetProperty("strategy").GetString() switch
            {
                "longest_first" => TruncationStrategy.LongestFirst,
                "only_first" => TruncationStrategy.OnlyFirst,
                _ => TruncationStrategy.OnlySecond,
            },
            Stride = truncation.TryGetProperty("stride", out JsonElement stride) ? stride.GetInt32() : 0,
            TruncationSide = SideOf(truncation, "direction"),
            Padding = truncation.TryGetProperty("pad", out _) ? Padding.MaxLength : Padding.None,
            PadSide = SideOf(truncation, "pad_side"),
            PadToMultipleOf = truncation.TryGetProperty("pad_to_multiple_of", out JsonElement multiple) ? multiple.GetInt32() : null,
        };
    }

    private static Side SideOf(JsonElement row, string name) =>
        row.TryGetProperty(name, out JsonElement side) && side.GetString() == "left" ? Side.Left : Side.Right;

    private static void Same(string id, JsonElement row, Encoding encoding)
    {
        Equal(id, row, "ids", encoding.Ids);
        Equal(id, row, "type_ids", encoding.TypeIds);
        Equal(id, row, "attention_mask", encoding.AttentionMask);
        Equal(id, row, "offsets", encoding.CodePointOffsets);
    }

    private static IEnumerable<string> Strings(JsonElement array) => array.EnumerateArray().Select(item => item.GetString()!);

    private static void Equal<T>(string id, JsonElement row, string name, ImmutableArray<T> found)
    {
        string expected = row.GetProperty(name).GetRawText().Replace(" ", "", StringComparison.Ordinal);
        string shown = $"[{string.Join(',', found.Select(value => value switch
        {
            null => "null",
            TextRange range => $"[{range.Start},{range.End}]",
            _ => value.ToString(),
        }))}]";
        Assert.True(expected == shown, $"{id}: {name}: expected {expected}, found {shown}");
    }
}
