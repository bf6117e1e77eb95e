using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Parquet;

namespace Qkv.Tests.App;

public class EmbedTests
{
    private static readonly string[] s_texts = ["我想吃酸菜鱼", "", "attention is all you need", "𠀀 \"quoted\" é"];

    private static readonly Lazy<TextEncoder> s_encoder = new(() => TextEncoder.Load(Command.Bundled));

    [Fact]
    public void Lines_of_json_have_the_vectors_of_the_library()
    {
        Ran ran = Command.Succeeds(["embed", .. s_texts]);
        JsonElement[] rows = [.. ran.JsonLines];
        Assert.Equal(s_texts.Length, rows.Length);
        for (int i = 0; i < rows.Length; i++)
        {
            Assert.Equal(["text", "embedding", "tokens", "truncated"], rows[i].EnumerateObject().Select(member => member.Name));
            Assert.Equal(s_texts[i], rows[i].GetProperty("text").GetString());
            Assert.Equal(s_encoder.Value.Embed(s_texts[i]), rows[i].GetProperty("embedding").EnumerateArray().Select(number => number.GetSingle()));
            Assert.False(rows[i].GetProperty("truncated").GetBoolean());
        }
        Assert.Contains("我想吃酸菜鱼", ran.Output);
        Assert.Contains("𠀀", ran.Output);
    }

    [Fact]
    public void Options_shape_the_vectors()
    {
        JsonElement[] rows = [.. Command.Succeeds("embed", "我", "想吃", "--dimensions", "3", "--pooling", "cls", "--normalize").JsonLines];
        foreach (JsonElement row in rows)
        {
            float[] vector = [.. row.GetProperty("embedding").EnumerateArray().Select(number => number.GetSingle())];
            Assert.Equal(s_encoder.Value.Embed(row.GetProperty("text").GetString()!, new EmbedOptions { Dimensions = 3, Pooling = Qkv.Encoders.Pooling.Cls, Normalize = true })[..3], vector);
            Assert.Equal(1f, MathF.Sqrt(vector.Sum(number => number * number)), 5);
        }
    }

    [Fact]
    public void Lines_of_a_file_stay_aligned_whatever_their_ends()
    {
        using var directory = new TemporaryDirectory();
        byte[] bytes = [0xEF, 0xBB, 0xBF, .. Encoding.UTF8.GetBytes("一\r\n\r\n二\n\n三")];
        string[] expected = ["一", "", "二", "", "三"];
        Assert.Equal(expected, Command.Succeeds("embed", "--input", directory.Write("lines.txt", bytes)).JsonLines.Select(row => row.GetProperty("text").GetString()));
        Assert.Equal(expected, Command.Run(bytes, "embed", "--input", "-").JsonLines.Select(row => row.GetProperty("text").GetString()));
        Assert.Empty(Command.Succeeds("embed", "--input", directory.Write("empty.txt", "")).Lines);
    }

    [Fact]
    public void What_is_not_utf8_is_refused_with_its_line()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.Write("bad.txt", [(byte)'a', (byte)'\n', 0xC3, 0x28, (byte)'\n']);
        Command.Fails(1, "bad.txt, line 2: the line is not valid UTF-8", "embed", "--input", path);
        Ran piped = Command.Run([0xFF], "embed", "--input", "-");
        Command.IsOneSentence("standard input, line 1", piped.Error);
    }

    [Fact]
    public void Truncated_texts_are_marked_and_counted()
    {
        Ran ran = Command.Run("embed", "a", string.Concat(Enumerable.Repeat("我", 600)), "--dimensions", "1");
        Assert.Equal([false, true], ran.JsonLines.Select(row => row.GetProperty("truncated").GetBoolean()));
        Assert.Equal([3, 512], ran.JsonLines.Select(row => row.GetProperty("tokens").GetInt32()));
        Command.IsOneSentence("1 text was longer than the 512 tokens", ran.Error);
    }

    [Fact]
    public void Npy_is_numpys_format()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.File("a.npy");
        Command.Succeeds(["embed", .. s_texts, "--output", path]);
        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal([0x93, .. "NUMPY"u8, 1, 0, 118, 0], bytes[..10]);
        Assert.Equal("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 256), }", Encoding.ASCII.GetString(bytes, 10, 118).TrimEnd());
        Assert.Equal((byte)'\n', bytes[127]);
        Assert.Equal(s_texts.SelectMany(text => s_encoder.Value.Embed(text)), MemoryMarshal.Cast<byte, float>(bytes.AsSpan(128)).ToArray());
    }

    [Fact]
    public async Task Parquet_is_readable()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.File("a.parquet");
        Command.Succeeds(["embed", .. s_texts, "--output", path, "--dimensions", "5"]);
        await using ParquetReader reader = await ParquetReader.CreateAsync(path, cancellationToken: TestContext.Current.CancellationToken);
        using ParquetRowGroupReader group = reader.OpenRowGroupReader(0);
        Assert.Equal(["text", "embedding", "tokens", "truncated"], reader.Schema.Fields.Select(field => field.Name));
        var texts = new string?[s_texts.Length];
        await group.ReadAsync(reader.Schema.DataFields[0], texts.AsMemory(), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(s_texts, texts);
        var numbers = new float[5 * s_texts.Length];
        var definitions = new int[numbers.Length];
        var repetitions = new int[numbers.Length];
        await group.ReadRawAsync<float>(reader.Schema.DataFields[1], numbers.AsMemory(), definitions.AsMemory(), repetitions.AsMemory(), TestContext.Current.CancellationToken);
        Assert.Equal(s_texts.SelectMany(text => s_encoder.Value.Embed(text, new EmbedOptions { Dimensions = 5 })), numbers);
        Assert.Equal(s_texts.SelectMany(_ => (int[])[0, 1, 1, 1, 1]), repetitions);
    }

    [Fact]
    public void A_file_is_written_as_a_whole_or_not_at_all()
    {
        using var directory = new TemporaryDirectory();
        string output = directory.Write("a.jsonl", "as it was"), input = directory.Write("bad.txt", [(byte)'a', (byte)'\n', 0xFF]);
        Command.Fails(1, "line 2", "embed", "--input", input, "--output", output);
        Assert.Equal("as it was", File.ReadAllText(output));
        Assert.Equal(2, Directory.GetFiles(directory.Path).Length);
        Command.Succeeds("embed", "a", "--output", output);
        Assert.StartsWith("{\"text\":\"a\"", File.ReadAllText(output));
    }

    [Theory]
    [InlineData("either texts or --input")]
    [InlineData("either texts or --input", "a", "--input", "b")]
    [InlineData("must end in .jsonl, .npy or .parquet", "a", "--output", "a.csv")]
    [InlineData("there is no directory", "a", "--output", "no/such/directory/a.npy")]
    [InlineData("--dimensions must be from 1 to 256", "a", "--dimensions", "257")]
    [InlineData("--pooling must be mean, cls or max", "a", "--pooling", "sum")]
    public void Wrong_usage_is_refused(string words, params string[] arguments) => Command.Fails(2, words, ["embed", .. arguments]);

    /// <summary>Which texts it hurts is not known when the model is read: a token may be one that no text has.</summary>
    [Fact]
    public void A_damaged_embedding_is_no_vector()
    {
        using var copy = new TemporaryDirectory();
        foreach (string file in (string[])["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]) File.Copy(Path.Combine(Command.Bundled, file), copy.File(file));
        TextEncoder whole = TextEncoder.Load(copy.Path);
        int damaged = whole.Tokenizer.Encode("鱼").Ids[1];
        Command.Damage(copy, "word_embeddings.weight", (numbers, features) => numbers[damaged * features] = float.NaN);
        Command.Succeeds("embed", "吃", "--model", copy.Path);
        Command.Fails(1, "computes NaN or infinities for '鱼'", "embed", "吃", "鱼", "--model", copy.Path);
        foreach (string[] command in (string[][])[["embed", "鱼", "--output", copy.File("x.npy")], ["attend", "鱼", "--json"], ["attend", "鱼"], ["attend", "鱼", "--output", copy.File("x.html")], ["fill-mask", "鱼[MASK]"]])
            Command.Fails(1, "computes NaN or infinities", [.. command, "--model", copy.Path]);
        Assert.Empty(Directory.GetFiles(copy.Path, "x.*"));
    }

    [Fact]
    public void A_missing_input_is_named() => Command.Fails(1, "'nowhere.txt': there is no such file", "embed", "--input", "nowhere.txt");
}
