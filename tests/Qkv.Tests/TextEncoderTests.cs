using System.Diagnostics;
using Microsoft.Extensions.AI;
using Qkv.Tests.Docs;

namespace Qkv.Tests;

/// <summary>The front door on the bundled model.</summary>
public class TextEncoderTests
{
    private static readonly Lazy<TextEncoder> s_encoder = new(() => TextEncoder.Load(Path.Combine(Document.Root, "models")));

    private static readonly string[] s_texts = ["我想吃酸菜鱼", "the king of france", "", "请问附近有什么好吃的？", "a"];

    [Fact]
    public void A_list_gives_what_each_text_gives_alone()
    {
        IReadOnlyList<TextEmbedding> together = s_encoder.Value.Embed(s_texts);
        for (int i = 0; i < s_texts.Length; i++)
        {
            Assert.Equal(s_encoder.Value.Embed(s_texts[i]), together[i].Vector);
            Assert.Equal(s_encoder.Value.Encode(s_texts[i]).Length, together[i].Tokens);
            Assert.False(together[i].Truncated);
        }
    }

    [Fact]
    public void Fewer_dimensions_are_the_first_ones_brought_to_unit_length()
    {
        const int kept = 40;
        IReadOnlyList<TextEmbedding> whole = s_encoder.Value.Embed(s_texts), cut = s_encoder.Value.Embed(s_texts, new EmbedOptions { Dimensions = kept, Normalize = true });
        for (int i = 0; i < s_texts.Length; i++)
        {
            double length = Math.Sqrt(whole[i].Vector.Take(kept).Sum(number => (double)number * number));
            Assert.Equal(kept, cut[i].Vector.Length);
            for (int d = 0; d < kept; d++) Assert.Equal(whole[i].Vector[d] / length, cut[i].Vector[d], 1e-6);
        }
        Assert.Throws<ArgumentException>(() => s_encoder.Value.Embed(s_texts, new EmbedOptions { Dimensions = 257 }));
    }

    [Fact]
    public void A_long_text_says_that_it_was_cut()
    {
        TextEmbedding embedding = s_encoder.Value.Embed([string.Concat(Enumerable.Repeat("酸菜鱼", 1000))])[0];
        Assert.True(embedding.Truncated);
        Assert.Equal(s_encoder.Value.MaxTokens, embedding.Tokens);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors")]
    [InlineData("vocab.txt")]
    [InlineData("tokenizer_config.json")]
    public void Links_are_followed_and_what_is_no_file_is_refused_before_it_is_opened(string file)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Pipes and devices with names.");
        using var copy = new TemporaryDirectory();
        string models = Path.Combine(Document.Root, "models");
        foreach (string one in (string[])["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"]) File.CreateSymbolicLink(copy.File(one), Path.Combine(models, one));
        TextEncoder.Load(copy.Path);

        void Refused(string words, Action replace)
        {
            File.Delete(copy.File(file));
            replace();
            string message = Assert.Throws<InvalidDataException>(() => TextEncoder.Load(copy.Path)).Message;
            Assert.Contains(copy.File(file), message);
            Assert.Contains(words, message);
        }

        Refused("is empty", () => copy.Write(file, ""));
        Refused("is a link to " + copy.File("gone"), () => File.CreateSymbolicLink(copy.File(file), copy.File("gone")));
        Refused("no regular file", () => File.CreateSymbolicLink(copy.File(file), "/dev/zero"));
        // Nobody ever writes to it.
        Refused("no regular file", () => Process.Start("mkfifo", [copy.File(file)]).WaitForExit());
    }

    [Fact]
    public void A_long_text_is_cut_where_the_directory_says()
    {
        using var copy = new TemporaryDirectory();
        foreach (string file in (string[])["config.json", "model.safetensors", "vocab.txt"]) File.Copy(Path.Combine(Document.Root, "models", file), copy.File(file));
        copy.Write("tokenizer_config.json", """{"model_max_length": 12, "truncation_side": "left"}""");
        TextEncoder encoder = TextEncoder.Load(copy.Path);
        const string end = "吃酸菜鱼吃酸菜鱼吃酸";
        Assert.Equal(encoder.Embed(end), encoder.Embed("我想我想我想" + end));
        Assert.Equal(encoder.Encode(end).Ids, encoder.Encode("我想我想我想" + end).Ids);
        Assert.Equal(encoder.Encode("酸菜鱼吃酸", "想吃酸菜").Ids, encoder.Encode("我想吃酸菜鱼吃酸", "我想吃酸菜").Ids);
        Assert.Contains("shorten the text after it", Assert.Throws<ArgumentException>(() => encoder.FillMask("[MASK]" + end)).Message);
    }

    [Fact]
    public async Task It_is_an_embedding_generator()
    {
        using IEmbeddingGenerator<string, Embedding<float>> generator = new TextEmbeddingGenerator(s_encoder.Value);
        GeneratedEmbeddings<Embedding<float>> result = await generator.GenerateAsync(s_texts, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(s_texts.Length, result.Count);
        Assert.Equal(s_encoder.Value.Embed(s_texts[0]), result[0].Vector.ToArray());
        Assert.Equal(s_texts.Sum(text => (long)s_encoder.Value.Encode(text).Length), result.Usage!.InputTokenCount);
        var metadata = (EmbeddingGeneratorMetadata)generator.GetService(typeof(EmbeddingGeneratorMetadata))!;
        Assert.Equal(("qkv", 256), (metadata.ProviderName, metadata.DefaultModelDimensions));
        Assert.Same(s_encoder.Value, generator.GetService(typeof(TextEncoder)));
    }

    [Fact]
    public void Tasks_without_their_head_are_refused_by_name()
    {
        Assert.Contains("BertForSequenceClassification", Assert.Throws<InvalidOperationException>(() => s_encoder.Value.Classify("a")).Message);
        Assert.Contains("BertForTokenClassification", Assert.Throws<InvalidOperationException>(() => s_encoder.Value.Entities("a")).Message);
        Assert.Contains("BertForQuestionAnswering", Assert.Throws<InvalidOperationException>(() => s_encoder.Value.Answer("a", "b")).Message);
        Assert.Throws<ArgumentException>(() => s_encoder.Value.FillMask("no mask here"));
    }
}
