using System.Diagnostics;
using Qkv.Tests.App;

namespace Qkv.Tests.Training;

/// <summary>Runs of <c>qkv train mlm</c>: same bits whatever the threads and interruptions, and whole directories whatever happens.</summary>
public class TrainingRunTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly string _text;
    private readonly string _vocabulary;

    public TrainingRunTests()
    {
        // A language of forty words in which each word decides the next.
        string[] words = [.. Enumerable.Range(0, 40).Select(i => $"w{(char)('a' + i / 10)}{i % 10}")];
        _vocabulary = _directory.Write("vocab.txt", string.Join('\n', new[] { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" }.Concat(words)) + "\n");
        var random = new Random(5);
        _text = _directory.Write("text.txt", string.Join("\n\n", Enumerable.Range(0, 60).Select(_ =>
        {
            int first = random.Next(words.Length);
            return string.Join(' ', Enumerable.Range(0, 40).Select(i => words[(first + 7 * i) % words.Length]));
        })));
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void A_model_learns_what_follows_what()
    {
        Train("model", 500);
        Ran ran = Command.Succeeds("evaluate", "mlm", "--input", _text, "--model", Path("model"), "--length", "24", "--json");
        using var json = System.Text.Json.JsonDocument.Parse(ran.Output);
        Assert.True(json.RootElement.GetProperty("masked_accuracy").GetDouble() > 0.8, ran.Output);
        Assert.True(json.RootElement.GetProperty("perplexity").GetDouble() < 3, ran.Output);
        Assert.StartsWith("<svg", File.ReadAllText(Path("model/loss.svg")));
        Assert.Contains("\"masked_accuracy\"", File.ReadAllText(Path("model/log.jsonl")));
    }

    [Fact]
    public void One_thread_and_two_give_the_same_bits()
    {
        Train("one", 8, "--threads", "1");
        Train("two", 8, "--threads", "2");
        Assert.Equal(Parameters("one"), Parameters("two"));
    }

    [Fact]
    public void A_run_in_two_sittings_is_the_run_in_one()
    {
        Train("one", 8);
        Command.Succeeds(Arguments("two", 8, "--stop-after", "3"));
        Assert.NotEqual(Parameters("one"), Parameters("two"));
        Command.Succeeds(Arguments("two", 8));
        Assert.Equal(Parameters("one"), Parameters("two"));
    }

    [Fact]
    public void Windows_start_short_unless_told_otherwise()
    {
        string[] arguments = Arguments("model", 4);
        int at = Array.IndexOf(arguments, "--curriculum");
        arguments = [.. arguments[..at], .. arguments[(at + 2)..]];
        Command.Succeeds(arguments);
        Assert.Contains("curriculum=40:0.35", File.ReadAllText(Path("model/checkpoint.safetensors"), System.Text.Encoding.Latin1)[..4000]);
    }

    [Fact]
    public void A_run_that_was_killed_goes_on_as_if_it_had_not_been() => Survives(50, name => Arguments(name, 60, "--checkpoint-seconds", "0"), 64);

    [Theory]
    [InlineData("classify")]
    [InlineData("ner")]
    public void A_fine_tuning_that_was_killed_goes_on_as_if_it_had_not_been(string task)
    {
        using TemporaryDirectory model = ToyData.Model();
        bool tagged = task == "ner";
        string train = _directory.Write("train.tsv", tagged ? ToyData.Tagged(200, 1) : ToyData.Texts(200, 1)), valid = _directory.Write("valid.tsv", tagged ? ToyData.Tagged(40, 2) : ToyData.Texts(40, 2));
        // Evaluations in between, whose best is kept, and a patience that ends the run: all of it must survive.
        Survives(8, name =>
        [
            "train", task, "--model", model.Path, "--input", train, "--valid", valid, "--output", Path(name), "--learning-rate", "0.01", "--batch-tokens", "128",
            "--steps", "150", "--evaluate-every", "10", "--patience", "6", "--checkpoint-seconds", "0",
        ], 32);
    }

    /// <summary>Power cuts, each at its own moment, of a real process; a run that gets through is compared, and the next one begins.</summary>
    private void Survives(int cuts, Func<string, string[]> arguments, int dimensions)
    {
        Command.Succeeds(arguments("whole"));
        var random = new Random(11);
        for (int kills = 0, run = 0; kills < cuts;)
        {
            string cut = $"cut{run}";
            using Process process = CommandProcess.Start(arguments(cut));
            _ = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            if (!process.WaitForExit(random.Next(50, 600)))
            {
                process.Kill();
                process.WaitForExit();
                kills++;
                if (Directory.Exists(Path(cut))) Assert.Equal(dimensions, TextEncoder.Load(Path(cut)).Dimensions);
            }
            if (kills < cuts && process.ExitCode != 0) continue;
            Command.Succeeds(arguments(cut));
            Assert.Equal(Parameters("whole"), Parameters(cut));
            Assert.Empty(Directory.GetFiles(Path(cut), "*.tmp"));
            run++;
        }
    }

    [Fact]
    public void Another_run_in_the_same_directory_is_refused()
    {
        Train("model", 2);
        Command.Fails(1, "other settings", Arguments("model", 3));
        Directory.CreateDirectory(Path("other"));
        File.WriteAllText(Path("other/file"), "");
        Command.Fails(2, "holds no run", Arguments("other", 3));
    }

    [Fact]
    public void Bad_input_is_one_sentence()
    {
        Command.Fails(1, "holds no text", Replace(Arguments("a", 1), _text, _directory.Write("empty.txt", "\n\n")));
        Command.Fails(1, "not valid UTF-8", Replace(Arguments("b", 1), _text, _directory.Write("bytes.txt", [(byte)'a', 0xFF, 0xFE])));
        Command.Fails(1, "needs more", Replace(Arguments("c", 1), _text, _directory.Write("short.txt", "wa0 wa1\n")));
        Command.Fails(1, "is a directory", Replace(Arguments("d", 1), _text, _directory.Path));
        Command.Fails(1, "nowhere.txt", Replace(Arguments("d", 1), _text, Path("nowhere.txt")));
        Command.Fails(2, "--steps must be", Arguments("d", 0));
        Command.Fails(2, "is a file; name a directory", Replace(Arguments("d", 1), Path("d"), _text));
        Command.Fails(2, "there is no directory", Replace(Arguments("d", 1), Path("d"), Path("d/e")));
        Assert.Equal(["bytes.txt", "empty.txt", "short.txt", "text.txt", "vocab.txt"], Directory.GetFileSystemEntries(_directory.Path).Select(System.IO.Path.GetFileName).Order());
    }

    private void Train(string name, int steps, params string[] more) => Command.Succeeds(Arguments(name, steps, more));

    private string[] Arguments(string name, int steps, params string[] more) =>
    [
        "train", "mlm", "--input", _text, "--valid", _text, "--vocabulary", _vocabulary, "--output", Path(name), "--steps", $"{steps}",
        "--layers", "2", "--hidden", "64", "--heads", "2", "--intermediate", "128", "--length", "24", "--curriculum", "none", "--batch-tokens", "512", "--learning-rate", "0.005", .. more,
    ];

    private static string[] Replace(string[] arguments, string old, string now) => [.. arguments.Select(argument => argument == old ? now : argument)];

    private byte[] Parameters(string name) => File.ReadAllBytes(Path(name + "/model.safetensors"));

    private string Path(string name) => _directory.File(name);
}
