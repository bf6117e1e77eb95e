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

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Many_texts_get_the_labels_that_each_gets_alone(int threads)
    {
        using TemporaryDirectory model = App.Command.WithVocabulary("bert-sequence-classification");
        TextEncoder encoder = TextEncoder.Load(model.Path, new TextEncoderOptions { Threads = threads });
        string[] texts = [.. ManyTexts(encoder)], pairs = [.. texts.Reverse()];
        IReadOnlyList<IReadOnlyList<LabelScore>> together = encoder.Classify(texts), paired = encoder.Classify([.. texts.Zip(pairs, (text, pair) => (text, (string?)pair))]);
        Assert.Equal((texts.Length, texts.Length), (together.Count, paired.Count));
        for (int i = 0; i < texts.Length; i++)
        {
            Assert.Equal(encoder.Classify(texts[i]), together[i]);
            Assert.Equal(encoder.Classify(texts[i], pairs[i]), paired[i]);
        }
        Assert.NotEqual(together[0], paired[0]);
        Assert.Empty(encoder.Classify((string[])[]));
        Assert.Contains("Text 1 of the list is null", Assert.Throws<ArgumentException>(() => encoder.Classify(["a", null!])).Message);
        Assert.Throws<ArgumentNullException>(() => encoder.Classify((string)null!));
    }

    [Fact]
    public void Many_texts_get_the_entities_that_each_gets_alone()
    {
        using TemporaryDirectory model = App.Command.WithVocabulary("bert-token-classification");
        TextEncoder encoder = TextEncoder.Load(model.Path);
        string[] texts = [.. ManyTexts(encoder)];
        IReadOnlyList<IReadOnlyList<Entity>> together = encoder.Entities(texts);
        for (int i = 0; i < texts.Length; i++) Assert.Equal(encoder.Entities(texts[i]), together[i]);
        Assert.Contains(together, entities => entities.Count > 0);
        Assert.Contains("Text 0 of the list is null", Assert.Throws<ArgumentException>(() => encoder.Entities([null!])).Message);
    }

    [Fact]
    public void A_long_context_is_answered_from_the_best_of_its_windows()
    {
        using TemporaryDirectory model = App.Command.WithVocabulary("bert-question-answering");
        TextEncoder encoder = TextEncoder.Load(model.Path);
        const string question = "who?";
        string context = string.Concat(ManyTexts(encoder));
        // Windows share at most half of what they hold, so some have no token in common; each alone is a context of one window.
        int room = encoder.MaxTokens - encoder.Tokenizer.Encode(question, "").Length;
        Encoding whole = encoder.Tokenizer.Encode(question, context, new EncodeOptions
        {
            MaxLength = encoder.MaxTokens,
            Truncation = TruncationStrategy.OnlySecond,
            Stride = Math.Min(128, room / 2),
            WholeText = true,
        });
        Encoding[] windows = [whole, .. whole.Overflowing];
        Assert.True(windows.Length > 4);
        Answer[] answers = [.. windows.Select(window =>
        {
            int[] tokens = [.. Enumerable.Range(0, window.Length).Where(token => window.SequenceIds[token] == 1)];
            int start = window.Offsets[tokens[0]].Start;
            Answer answer = encoder.Answer(question, context[start..window.Offsets[tokens[^1]].End]);
            return answer with { Start = answer.Start + start, End = answer.End + start };
        })];
        Assert.Equal(answers.MaxBy(answer => answer.Score), encoder.Answer(question, context));
    }

    [Fact]
    public void Options_that_have_no_name_are_refused_also_where_there_is_nothing_to_do()
    {
        TextEncoder encoder = s_encoder.Value;
        Assert.Throws<ArgumentException>(() => encoder.Embed([], new EmbedOptions { Pooling = (Pooling)3 }));
        Assert.Throws<ArgumentException>(() => encoder.Embed([], new EmbedOptions { Dimensions = 0 }));
        Assert.Throws<ArgumentException>(() => encoder.Embed(new TokenBatch(), [], new EmbedOptions { Pooling = (Pooling)(-1) }));
        Assert.Throws<ArgumentException>(() => encoder.Tokenizer.Encode("a", options: new EncodeOptions { Padding = (Padding)3 }));
        Assert.Throws<ArgumentException>(() => encoder.Tokenizer.Encode("a", options: new EncodeOptions { PadSide = (Side)2 }));
        Assert.Throws<ArgumentException>(() => encoder.Tokenizer.Encode("a", options: new EncodeOptions { TruncationSide = (Side)2 }));
        Assert.Throws<ArgumentException>(() => encoder.Tokenizer.Encode("a", options: new EncodeOptions { Truncation = (TruncationStrategy)3 }));
        Assert.Throws<ArgumentException>(() => encoder.Tokenizer.Encode("a", options: new EncodeOptions { Padding = Padding.MaxLength, PadTo = int.MaxValue }));
        Assert.Throws<ArgumentException>(() => ActivationFunctions.Apply((Activation)12, [1f], new float[1]));
        Assert.Throws<ArgumentException>(() => new Linear(1, 1, new([1f], [])).Forward([1f], new float[1], (Activation)(-1)));
        foreach (Activation activation in Enum.GetValues<Activation>()) ActivationFunctions.Apply(activation, [1f], new float[1]);
    }

    [Fact]
    public void A_trace_is_as_long_as_its_longest_sequence_or_longer()
    {
        var batch = new TokenBatch();
        batch.Add([1, 2, 3]);
        Assert.Contains("3 tokens does not fit", Assert.Throws<ArgumentException>(() => s_encoder.Value.Trace(batch, length: 2)).Message);
        Assert.Equal((3, 3, 5), (s_encoder.Value.Trace(batch).Length, s_encoder.Value.Trace(batch, length: 3).Length, s_encoder.Value.Trace(batch, length: 5).Length));
    }

    [Fact]
    public void What_is_no_directory_is_told_apart()
    {
        Assert.Contains("nothing is downloaded", Assert.Throws<DirectoryNotFoundException>(() => TextEncoder.Load("bert-base-uncased")).Message);
        Assert.Contains("nothing is downloaded", Assert.Throws<DirectoryNotFoundException>(() => Tokenizer.Load("bert-base-uncased")).Message);
        Assert.Contains("is a file", Assert.Throws<DirectoryNotFoundException>(() => TextEncoder.Load(Path.Combine(Document.Root, "models", "model.safetensors"))).Message);
    }

    [Fact]
    public void A_directory_that_leaves_no_room_for_text_is_refused()
    {
        using var copy = new TemporaryDirectory();
        foreach (string file in (string[])["config.json", "model.safetensors", "vocab.txt"]) File.Copy(Path.Combine(Document.Root, "models", file), copy.File(file));
        foreach (int length in (int[])[1, 2])
        {
            copy.Write("tokenizer_config.json", $$"""{"model_max_length": {{length}}}""");
            string message = Assert.Throws<InvalidDataException>(() => TextEncoder.Load(copy.Path)).Message;
            Assert.Contains($"may have {length} tokens", message);
            Assert.Contains("model_max_length", message);
        }
        copy.Write("tokenizer_config.json", """{"model_max_length": 3}""");
        Assert.Equal(3, TextEncoder.Load(copy.Path).Encode("我想吃").Length);
    }

    [Fact]
    public void A_config_may_begin_with_a_byte_order_mark()
    {
        byte[] json = File.ReadAllBytes(Path.Combine(Document.Root, "models", "config.json"));
        Assert.Equal(EncoderConfig.Parse(json, "config.json").HiddenSize, EncoderConfig.Parse([0xEF, 0xBB, 0xBF, .. json], "config.json").HiddenSize);
    }

    [Fact]
    public void A_trace_that_cannot_be_saved_is_told_by_the_name_that_was_given()
    {
        using var directory = new TemporaryDirectory();
        string path = Path.Combine(directory.Path, "gone", "trace.safetensors");
        string message = Assert.ThrowsAny<IOException>(() => s_encoder.Value.Trace("a").Save(path)).Message;
        Assert.Contains(path, message);
        Assert.DoesNotContain(".tmp", message);
        Directory.CreateDirectory(path);
        message = Assert.ThrowsAny<IOException>(() => s_encoder.Value.Trace("a").Save(path)).Message;
        Assert.DoesNotContain(".tmp", message);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(directory.Path, "gone")));
    }

    /// <summary>Texts of many lengths, more than a batch holds.</summary>
    private static IEnumerable<string> ManyTexts(TextEncoder encoder)
    {
        const string characters = "我想吃酸菜鱼ab who?";
        int tokens = 0;
        for (int i = 0; tokens <= encoder.Model.Encoder.BatchTokens * 3 / 2; i++)
        {
            string text = string.Concat(Enumerable.Range(0, 1 + i * 7 % 40).Select(j => characters[(i + j * j) % characters.Length]));
            tokens += encoder.Encode(text).Length;
            yield return text;
        }
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
