using System.Diagnostics;
using Microsoft.Extensions.AI;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Tests.Docs;
using Qkv.Text;

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
    public void A_sourtext_says_that_it_was_cut()
    {
        TextEmbedding embedding = s_encoder.Value.Embed([string.Concat(Enumerable.Repeat("酸菜鱼", 1000))])[0];
        Assert.True(embedding.Truncated);
        Assert.Equal(s_encoder.Value.MaxTokens, embedding.Tokens);
    }

    [Fact]
    public void What_is_compiled_ahead_runs()
    {
        foreach (Precision precision in Enum.GetValues<Precision>()) Encoder.PassSmallest(precision);
        s_encoder.Value.Tokenizer.Compile();
    }

    [Fact]
    public void A_trace_stays_what_it_was_when_its_batch_is_filled_again()
    {
        var batch = new TokenBatch();
        s_encoder.Value.Append("我想吃酸菜鱼", batch);
        batch.Add([5, 6, 7], attentionMask: [1, 0, 1]);
        AttentionTrace trace = s_encoder.Value.Trace(batch);
        float[] weights = trace.WeightsOf(1, 3, 2).ToArray(), embedded = trace["embeddings.word"].ToFloats();
        long[] ids = trace["input_ids"].ToIntegers(), mask = trace["attention_mask"].ToIntegers();
        batch.Clear();
        s_encoder.Value.Append(new string('我', 400), batch);
        Assert.Equal((2, 8), (trace.Sequences, trace.LengthOf(0)));
        Assert.Equal(weights, trace.WeightsOf(1, 3, 2).ToArray());
        Assert.Equal(ids, trace["input_ids"].ToIntegers());
        Assert.Equal(mask, trace["attention_mask"].ToIntegers());
        Assert.Equal(embedded, trace["embeddings.word"].ToFloats());
        Assert.Throws<ArgumentOutOfRangeException>(() => trace.LengthOf(2));
        Assert.Throws<ArgumentOutOfRangeException>(() => { trace.IdsOf(-1); });
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Length(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.IsHidden(batch.Tokens));
    }

    [Fact]
    public void Nothing_is_computed_after_a_call_has_been_cancelled()
    {
        using var cancellation = new CancellationTokenSource();
        var texts = new CancellingTexts(20_000, cancellation);
        Assert.Throws<OperationCanceledException>(() => s_encoder.Value.EmbedUntil(texts, null, cancellation.Token));
        Assert.InRange(texts.Read, 1_000, 10_000);
    }

    [Fact]
    public void A_text_that_is_null_is_named_by_its_place()
    {
        Assert.Contains("Text 1 of the list", Assert.Throws<ArgumentException>(() => s_encoder.Value.Embed(["a", null!])).Message);
        Assert.Contains("Text 1 of the list", Assert.Throws<ArgumentException>(() => s_encoder.Value.Tokenizer.EncodeBatch(["a", null!])).Message);
        Assert.Throws<ArgumentNullException>(() => new TextEmbeddingGenerator(null!));
    }

    [Fact]
    public void Every_mask_has_a_list_or_the_one_that_is_not_read_is_told()
    {
        string sour = string.Concat(Enumerable.Repeat("酸", 600));
        Assert.Equal(2, s_encoder.Value.FillMask("[MASK]" + sour[..400] + "[MASK]").Count);
        Assert.Contains("beyond the 512 tokens", Assert.Throws<ArgumentException>(() => s_encoder.Value.FillMask("[MASK]" + sour + "[MASK]")).Message);
        Assert.Single(s_encoder.Value.FillMask("[MASK]" + sour));
    }

    [Fact]
    public void A_trace_is_saved_where_a_link_leads_and_never_in_place_of_a_pipe()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links for everybody, and pipes with names.");
        using var directory = new TemporaryDirectory();
        AttentionTrace trace = s_encoder.Value.Trace("a");
        File.CreateSymbolicLink(directory.File("link"), directory.Write("target", "before"));
        trace.Save(directory.File("link"), "input_ids");
        Assert.Equal(directory.File("target"), new FileInfo(directory.File("link")).LinkTarget);
        using (var saved = new SafetensorsFile(directory.File("target"))) Assert.Equal(["input_ids"], saved.Parameters.Keys);
        Process.Start("mkfifo", [directory.File("pipe")]).WaitForExit();
        Assert.Contains("device or a pipe", Assert.Throws<IOException>(() => trace.Save(directory.File("pipe"))).Message);
        Assert.Equal(["link", "pipe", "target"], Directory.GetFiles(directory.Path).Select(Path.GetFileName).Order());
        Assert.Contains("no regular file", Assert.Throws<InvalidDataException>(() => new SafetensorsFile(directory.File("pipe"))).Message);
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("pytorch_model.bin")]
    [InlineData("tokenizer.json")]
    public void What_a_clone_without_large_files_leaves_is_told(string file)
    {
        using var copy = new TemporaryDirectory();
        foreach (string good in (string[])["config.json", .. file == "tokenizer.json" ? (string[])["model.safetensors"] : []]) File.Copy(Path.Combine(Document.Root, "models", good), copy.File(good));
        copy.Write(file, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n");
        Assert.Contains("git lfs pull", Assert.Throws<InvalidDataException>(() => TextEncoder.Load(copy.Path)).Message);
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
    public void A_sourtext_is_cut_where_the_directory_says()
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

    /// <summary>Texts that end the work once a thousand of them have been read.</summary>
    private sealed class CancellingTexts(int count, CancellationTokenSource cancellation) : IReadOnlyList<string>
    {
        public int Read { get; private set; }

        public int Count => count;

        public string this[int index]
        {
            get
            {
                if (++Read == 1_000) cancellation.Cancel();
                return "text";
            }
        }

        public IEnumerator<string> GetEnumerator() => throw new NotSupportedException();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
