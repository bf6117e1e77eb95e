using System.Text.Json;
using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.App;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>The whole way of embeddings: pairs → run → directory → the commands that use it.</summary>
public sealed class EmbeddingRunTests : IDisposable
{
    private readonly TemporaryDirectory _model = ToyData.Model();
    private readonly TemporaryDirectory _data = new();
    private readonly string _pairs;
    private readonly string _text;

    public EmbeddingRunTests()
    {
        _pairs = _data.Write("pairs.tsv", ToyData.Pairs(500, 1));
        _text = _data.Write("text.txt", ToyData.Sentences(40, 2));
    }

    public void Dispose()
    {
        _model.Dispose();
        _data.Dispose();
    }

    [Fact]
    public void Texts_find_their_translations_which_were_never_learned()
    {
        string output = _data.File("out");
        Ran before = Command.Succeeds("evaluate", "embed", "--model", _model.Path, "--input", _pairs, "--hold-out", "60", "--json");
        Train("out", 150, "--hold-out", "60", "--evaluate-every", "50", "--mlm", _text, "--text", _text);
        JsonElement after = Command.Succeeds("evaluate", "embed", "--model", output, "--input", _pairs, "--hold-out", "60", "--json").Json;
        Assert.InRange(before.Json.GetProperty("recall_at_1").GetDouble(), 0, 0.2);
        Assert.InRange(after.GetProperty("recall_at_1").GetDouble(), 0.6, 1);
        Assert.Equal((after.GetProperty("recall_at_1_forward").GetDouble() + after.GetProperty("recall_at_1_backward").GetDouble()) / 2, after.GetProperty("recall_at_1").GetDouble(), 12);
        Assert.InRange(after.GetProperty("recall_at_5").GetDouble(), after.GetProperty("recall_at_1").GetDouble(), after.GetProperty("recall_at_10").GetDouble());
        Assert.Equal(60, after.GetProperty("pairs").GetInt32());
        Assert.Contains("among 60", Command.Succeeds("evaluate", "embed", "--model", output, "--input", _pairs, "--hold-out", "60").Output);
        // What the best evaluation said is what the directory does.
        double best = File.ReadLines(Path.Combine(output, "log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.TryGetProperty("recall_at_1", out _)).Max(line => line.GetProperty("recall_at_1").GetDouble());
        Assert.Equal(best, after.GetProperty("recall_at_1").GetDouble(), 4);
        // One directory embeds and guesses.
        TextEncoder encoder = TextEncoder.Load(output);
        Assert.Equal(1, encoder.Embed("a b c d").Sum(value => (double)value * value), 1e-6);
        Assert.NotEmpty(encoder.FillMask("the [MASK]"));
        Assert.Equal(["BertForMaskedLM"], encoder.Config.Architectures);
    }

    [Theory]
    [InlineData("--hold-out", "50")]
    [InlineData("--mlm-lengths", "12,32", "--one-way")]
    public void One_thread_and_two_give_the_same_bits(params string[] more)
    {
        string[] all = [.. more, "--mlm", _text, "--text", _text, "--text-share", "0.4", "--warm-up", "0"];
        Train("one", 10, [.. all, "--threads", "1"]);
        Train("two", 10, [.. all, "--threads", "2"]);
        Assert.Equal(Parameters("one"), Parameters("two"));
        Train("other", 10, [.. all, "--seed", "2"]);
        Assert.NotEqual(Parameters("one"), Parameters("other"));
    }

    [Fact]
    public void An_interrupted_run_ends_as_if_it_had_not_been()
    {
        Tokenizer tokenizer = Tokenizer.Load(_model.Path);
        List<PairExample> pairs = PairExample.Encode(PairFile.Read(_pairs, null)[..60], tokenizer, 32, null), sentences = PairExample.Encode(SentencePairs.Read(_text, 30, 1), tokenizer, 32, null);
        int[] stream = TextCorpus.Read(_text, tokenizer, tokenizer.Vocabulary.IdOf("[SEP]")).Tokens;
        byte[] Run(string name, params int[] stops)
        {
            string directory = _data.File(name);
            Directory.CreateDirectory(directory);
            TaskModel.WriteEmbedder(_model.Path, directory, Pooling.Max, 32);
            Checkpoint.Save(directory, new TrainableModel(directory, 2), TrainingState.Start("toy"));
            foreach (int stop in stops)
            {
                var learner = new TrainableModel(directory, 2);
                var task = new ContrastiveTask(learner, pairs, sentences, new ContrastiveOptions(16, 256, Pooling.Max, new ContrastiveLoss(), 0.3))
                {
                    MaskedLanguage = new MaskedLanguageTask(learner, tokenizer, stream, new MaskedLanguageOptions(16, 64) { Turns = [16, 24] }),
                    Validation = pairs[..10],
                };
                using var cancellation = new CancellationTokenSource();
                new Trainer(learner, task, new TrainerOptions { Schedule = new Schedule(0.01), Steps = 20, EvaluateEvery = 3, KeepBest = true }, directory, "toy")
                    .Run(() => { }, report => { if (report.State.Step == stop) cancellation.Cancel(); }, cancellation.Token);
            }
            using var file = new SafetensorsFile(Path.Combine(directory, Checkpoint.FileName));
            var last = new float[32 * 32];
            file.Read("first_moment.bert.encoder.layer.0.attention.self.query.weight", 0, last);
            return [.. System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(last), .. File.ReadAllBytes(Path.Combine(directory, "model.safetensors"))];
        }
        Assert.Equal(Run("whole", 20), Run("cut", 4, 11, 20));
    }

    [Fact]
    public void A_head_that_is_not_learned_stays_to_the_last_bit()
    {
        Train("alone", 3, "--warm-up", "0");
        Train("both", 3, "--warm-up", "0", "--mlm", _text);
        const string transform = "cls.predictions.transform.dense.weight", query = "bert.encoder.layer.0.attention.self.query.weight";
        Assert.Equal(Read(_model.Path, transform), Read(_data.File("alone"), transform));
        Assert.NotEqual(Read(_model.Path, transform), Read(_data.File("both"), transform));
        Assert.NotEqual(Read(_model.Path, query), Read(_data.File("alone"), query));
        Assert.NotEqual(Read(_data.File("alone"), query), Read(_data.File("both"), query));

        static float[] Read(string directory, string name)
        {
            using ParameterFile file = ParameterFile.OpenDirectory(directory);
            return file.ReadAll(name);
        }
    }

    [Fact]
    public void Files_of_sentence_transformers_say_how_texts_are_pooled()
    {
        Train("out", 1, "--pooling", "cls");
        Assert.Contains("\"pooling_mode_cls_token\": true", File.ReadAllText(_data.File("out/1_Pooling/config.json")));
        TextEncoder encoder = TextEncoder.Load(_data.File("out"));
        Assert.Equal(Pooling.Cls, encoder.Recipe.Pooling);
        Assert.True(encoder.Recipe.Normalize);
        Assert.Equal(32, encoder.Recipe.MaxTokens);
        // A run that starts there goes on with the same.
        Command.Succeeds("train", "embed", "--model", _data.File("out"), "--input", _pairs, "--output", _data.File("next"), "--steps", "1");
        Assert.Equal(Pooling.Cls, TextEncoder.Load(_data.File("next")).Recipe.Pooling);
    }

    [Fact]
    public void Scores_are_compared_by_rank()
    {
        string scored = _data.Write("scored.jsonl", """
            {"sentence1": "the apple", "sentence2": "the apple", "score": 5}
            {"sentence1": "the apple", "sentence2": "saw", "score": 0.5}
            {"sentence1": "my pear is here", "sentence2": "my pear is", "score": 4}
            """);
        JsonElement result = Command.Succeeds("evaluate", "embed", "--model", _model.Path, "--input", scored, "--json").Json;
        Assert.Equal(["spearman", "pairs"], result.EnumerateObject().Select(member => member.Name));
        Assert.Equal(1, result.GetProperty("spearman").GetDouble(), 1e-12);
        Command.Fails(1, "scored.tsv, line 2: the score 'x' is no number", "evaluate", "embed", "--model", _model.Path, "--input", _data.Write("scored.tsv", "a\tb\tscore\nc\td\tx\n"));
    }

    [Theory]
    [InlineData("holds no pairs", "", "train", "embed")]
    [InlineData("bad.tsv, line 1: a pair needs two columns", "one\nx\n", "train", "embed")]
    [InlineData("bad.tsv, line 1: there is no column 'zh' among a, b; name two with --columns", "a\tb\nx\ty\n", "train", "embed", "--columns", "zh,b")]
    [InlineData("1 pairs are left to learn from", "a\tb\nx\ty\n", "train", "embed")]
    [InlineData("bad.tsv, line 3: it has 1 columns, but the header has 2", "a\tb\nx\ty\nz\n", "train", "embed")]
    [InlineData("not valid UTF-8", "a\tb\nx\tÿ\n", "train", "embed")]
    public void Bad_data_is_one_sentence_and_no_directory(string words, string content, params string[] arguments)
    {
        string file = _data.Write("bad.tsv", [.. content.SelectMany(c => c == 'ÿ' ? [0xFF] : System.Text.Encoding.UTF8.GetBytes([c]))]);
        Command.Fails(1, words, [.. arguments, "--model", _model.Path, "--input", file, "--output", _data.File("out")]);
        Assert.False(Directory.Exists(_data.File("out")));
    }

    [Fact]
    public void Contradicting_options_are_refused()
    {
        Command.Fails(2, "give one", "train", "embed", "--model", _model.Path, "--input", _pairs, "--output", _data.File("out"), "--hold-out", "5", "--valid", _pairs);
        Command.Fails(2, "share of --text", "train", "embed", "--model", _model.Path, "--input", _pairs, "--output", _data.File("out"), "--text-share", "0.5");
        Command.Fails(2, "leave --limit and --seed out", "evaluate", "embed", "--model", _model.Path, "--input", _pairs, "--hold-out", "5", "--limit", "5");
        Command.Fails(2, "--columns must name two columns", "evaluate", "embed", "--model", _model.Path, "--input", _pairs, "--columns", "zh");
        Command.Fails(2, "--mlm-lengths must be lengths", "train", "embed", "--model", _model.Path, "--input", _pairs, "--output", _data.File("out"), "--mlm-lengths", "128,x");
    }

    private void Train(string name, int steps, params string[] more) => Command.Succeeds(
    [
        "train", "embed", "--model", _model.Path, "--input", _pairs, "--output", _data.File(name), "--steps", $"{steps}",
        "--batch-pairs", "32", "--batch-tokens", "1024", "--learning-rate", "0.003", "--mlm-tokens", "256", .. more,
    ]);

    private byte[] Parameters(string name) => File.ReadAllBytes(Path.Combine(_data.File(name), "model.safetensors"));
}
