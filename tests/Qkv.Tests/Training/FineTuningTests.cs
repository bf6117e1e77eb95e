using System.Text.Json;
using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.App;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>The whole way of a task: data → run → directory → the commands that use it.</summary>
public class FineTuningTests
{
    private static string[] Quick(int epochs = 6, string rate = "0.01") => ["--learning-rate", rate, "--batch-tokens", "256", "--epochs", $"{epochs}"];

    [Fact]
    public void A_classifier_learns_and_classify_agrees_with_evaluate()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", ToyData.Texts(400, 1)), valid = data.Write("valid.tsv", ToyData.Texts(80, 2)), output = data.File("out");
        Command.Succeeds(["train", "classify", "--model", model.Path, "--input", train, "--valid", valid, "--output", output, .. Quick()]);
        JsonElement result = Command.Succeeds("evaluate", "classify", "--model", output, "--input", valid, "--json").Json;
        Assert.InRange(result.GetProperty("accuracy").GetDouble(), 0.95, 1);
        Assert.InRange(result.GetProperty("macro_f1").GetDouble(), 0.95, 1);

        TextEncoder encoder = TextEncoder.Load(output);
        Assert.Equal(["BertForSequenceClassification"], encoder.Config.Architectures);
        Assert.Equal(["fruit", "tool"], encoder.Config.Labels);
        string[][] rows = [.. File.ReadLines(valid).Skip(1).Select(line => line.Split('\t'))];
        double right = rows.Count(row => encoder.Classify(row[1])[0].Label == row[0]);
        Assert.Equal(result.GetProperty("accuracy").GetDouble(), right / rows.Length, 12);
        string table = Command.Succeeds("evaluate", "classify", "--model", output, "--input", valid).Output;
        Assert.Contains("macro F1", table);
        Assert.Contains("fruit", table);
        // What the best evaluation said is what the directory does.
        double best = File.ReadLines(Path.Combine(output, "log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.TryGetProperty("accuracy", out _)).Max(line => line.GetProperty("accuracy").GetDouble());
        Assert.Equal(best, result.GetProperty("accuracy").GetDouble(), 4);
    }

    [Fact]
    public void Several_labels_of_a_text_are_learned()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", ToyData.Tools(400, 1)), valid = data.Write("valid.tsv", ToyData.Tools(80, 2)), output = data.File("out");
        Command.Succeeds(["train", "classify", "--model", model.Path, "--input", train, "--valid", valid, "--output", output, "--multi-label", .. Quick(30, "0.003")]);
        TextEncoder encoder = TextEncoder.Load(output);
        Assert.Equal(("multi_label_classification", 3), (encoder.Config.ProblemType, encoder.Config.NumLabels));
        JsonElement result = Command.Succeeds("evaluate", "classify", "--model", output, "--input", valid, "--json").Json;
        Assert.Equal(["accuracy", "micro_f1", "macro_f1", "loss", "texts"], result.EnumerateObject().Select(member => member.Name));
        Assert.InRange(result.GetProperty("micro_f1").GetDouble(), 0.95, 1);
        // qkv classify gives each label a sigmoid of its own, and half is where evaluate draws the line.
        string[][] rows = [.. File.ReadLines(valid).Skip(1).Select(line => line.Split('\t'))];
        int exact = rows.Count(row => encoder.Classify(row[1]).Where(label => label.Score > 0.5f).Select(label => label.Label).Order().SequenceEqual(row[0].Split('|', StringSplitOptions.RemoveEmptyEntries).Order()));
        Assert.Equal(result.GetProperty("accuracy").GetDouble(), (double)exact / rows.Length, 12);
        Assert.Contains("micro F1", Command.Succeeds("evaluate", "classify", "--model", output, "--input", valid).Output);
    }

    [Fact]
    public void Numbers_are_learned()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", ToyData.Counts(400, 1)), valid = data.Write("valid.tsv", ToyData.Counts(80, 2)), output = data.File("out");
        Command.Succeeds(["train", "classify", "--model", model.Path, "--input", train, "--valid", valid, "--output", output, "--regression", .. Quick()]);
        TextEncoder encoder = TextEncoder.Load(output);
        Assert.Equal(("regression", 1), (encoder.Config.ProblemType, encoder.Config.NumLabels));
        JsonElement result = Command.Succeeds("evaluate", "classify", "--model", output, "--input", valid, "--json").Json;
        Assert.Equal(["spearman", "pearson", "mse", "texts"], result.EnumerateObject().Select(member => member.Name));
        Assert.InRange(result.GetProperty("pearson").GetDouble(), 0.95, 1);
        string[][] rows = [.. File.ReadLines(valid).Skip(1).Select(line => line.Split('\t'))];
        double mean = rows.Average(row => Math.Pow(encoder.Classify(row[1])[0].Score - double.Parse(row[0], System.Globalization.CultureInfo.InvariantCulture), 2));
        Assert.Equal(result.GetProperty("mse").GetDouble(), mean, 5);
        Command.Fails(1, "train.tsv, line 3: the label 'much' is no number", "train", "classify", "--model", model.Path, "--input", data.Write("train.tsv", "label\ttext\n1.5\ta\nmuch\tb\n"), "--output", data.File("other"), "--regression");
    }

    [Fact]
    public void Pairs_are_learned()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", ToyData.Kinds(600, 1)), valid = data.Write("valid.tsv", ToyData.Kinds(80, 2)), output = data.File("out");
        Command.Succeeds(["train", "classify", "--model", model.Path, "--input", train, "--valid", valid, "--output", output, "--text-column", "first", "--pair-column", "second", .. Quick(16)]);
        JsonElement result = Command.Succeeds("evaluate", "classify", "--model", output, "--input", valid, "--text-column", "first", "--pair-column", "second", "--json").Json;
        Assert.InRange(result.GetProperty("accuracy").GetDouble(), 0.9, 1); // neither text tells the label alone
        JsonElement[] rows = [.. File.ReadLines(valid).Skip(1).Take(5).Select(line => line.Split('\t')).Select(row => Command.Succeeds("classify", row[1], "--pair", row[2], "--model", output, "--json").Json)];
        Assert.Contains(rows, row => row[0].GetProperty("label").GetString() == "same");
        Assert.Contains(rows, row => row[0].GetProperty("label").GetString() == "other");
    }

    [Fact]
    public void Entities_are_learned()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", ToyData.Tagged(400, 1)), valid = data.Write("valid.tsv", ToyData.Tagged(80, 2)), output = data.File("out");
        Command.Succeeds(["train", "ner", "--model", model.Path, "--input", train, "--valid", valid, "--output", output, .. Quick()]);
        JsonElement result = Command.Succeeds("evaluate", "ner", "--model", output, "--input", valid, "--json").Json;
        Assert.InRange(result.GetProperty("entity_f1").GetDouble(), 0.95, 1);
        Assert.Equal(new Entity("dish", 0, "酸菜鱼", 2, 5), Assert.Single(TextEncoder.Load(output).Entities("ab酸菜鱼")) with { Score = 0 });
    }

    [Theory]
    [InlineData("classify")]
    [InlineData("ner")]
    public void One_thread_and_two_give_the_same_bits(string task)
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", task == "ner" ? ToyData.Tagged(100, 1) : ToyData.Texts(100, 1));
        byte[] Run(string name, string threads, string steps)
        {
            Command.Succeeds("train", task, "--model", model.Path, "--input", train, "--output", data.File(name), "--batch-tokens", "128", "--steps", steps, "--threads", threads, "--warm-up", "0");
            return File.ReadAllBytes(Path.Combine(data.File(name), "model.safetensors"));
        }
        byte[] one = Run("one", "1", "12");
        Assert.Equal(one, Run("two", "2", "12"));
        Assert.Equal(one, Run("two", "2", "12")); // a run that is over goes on with nothing
        Assert.NotEqual(one, Run("other", "2", "11"));
    }

    [Fact]
    public void An_interrupted_run_ends_as_if_it_had_not_been()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        List<LabelledRow> rows = LabelledFile.Read(data.Write("train.tsv", ToyData.Texts(60, 1)), new LabelledColumns("text", "label"));
        LabelSet labels = LabelSet.Of("train.tsv", rows, SequenceLossKind.SingleLabel, null);
        byte[] Run(string name, params int[] stops)
        {
            string directory = data.File(name);
            Directory.CreateDirectory(directory);
            TaskModel.Write(model.Path, directory, ClassifierKind.Sequence, labels.Names, labels.ProblemType, seed: 3);
            Checkpoint.Save(directory, new TrainableModel(directory, 2), TrainingState.Start("toy"));
            foreach (int stop in stops)
            {
                var learner = new TrainableModel(directory, 2) { Dropout = new DropoutPlan(0.1, 0.1, 0.1) };
                List<TextExample> examples = LabelledTexts.Encode("train.tsv", rows, labels, Tokenizer.Load(directory), 32);
                var task = ExampleTask.OfTexts(learner, examples, examples[..10], labels, new ExampleOptions(64));
                using var cancellation = new CancellationTokenSource();
                new Trainer(learner, task, new TrainerOptions { Schedule = new Schedule(0.01), Steps = 20, EvaluateEvery = 3, KeepBest = true, LayerDecay = 0.9 }, directory, "toy")
                    .Run(() => { }, report => { if (report.State.Step == stop) cancellation.Cancel(); }, cancellation.Token);
            }
            using var file = new SafetensorsFile(Path.Combine(directory, Checkpoint.FileName));
            var last = new float[32 * 32];
            file.Read("first_moment.bert.encoder.layer.0.attention.self.query.weight", 0, last);
            return [.. System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(last), .. File.ReadAllBytes(Path.Combine(directory, "model.safetensors"))];
        }
        Assert.Equal(Run("whole", 20), Run("cut", 4, 11, 20));
    }

    [Theory]
    [InlineData("classify", "--freeze-layers", 2)]
    [InlineData("ner", "--freeze-embeddings", 1)]
    [InlineData("mlm", "--freeze-layers", 2)]
    [InlineData("mlm", "--freeze-embeddings", 1)]
    public void Frozen_parameters_keep_their_bits_and_all_others_learn(string task, string option, int depth)
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", task == "ner" ? ToyData.Tagged(60, 1) : ToyData.Texts(60, 1)), output = data.File("out");
        string[] frozen = option == "--freeze-layers" ? [option, $"{depth - 1}"] : [option];
        Command.Succeeds(["train", task, "--model", model.Path, "--input", train, "--output", output, "--steps", "4", "--warm-up", "0", "--batch-tokens", "128", "--dropout", "0.1",
            .. task == "mlm" ? (string[])["--length", "12", "--curriculum", "none"] : [], .. frozen]);
        TrainableModel before = new(model.Path, 1), after = new(output, 1);
        using var checkpoint = new SafetensorsFile(Path.Combine(output, Checkpoint.FileName));
        foreach (Parameter parameter in after.Parameters)
        {
            Parameter? old = before.Parameters.SingleOrDefault(known => known.Name == parameter.Name);
            bool stays = after.DepthOf(parameter) < depth;
            if (stays) Bits.Equal(old!.Value.Span, parameter.Value.Span);
            else if (old != null) Assert.False(old.Value.Span.SequenceEqual(parameter.Value.Span), parameter.Name);
            Assert.Equal(!stays, checkpoint.Parameters.ContainsKey("first_moment." + TrainableModel.StoredName(parameter.Name)));
        }
    }

    [Fact]
    public void More_layers_than_there_are_cannot_be_frozen()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", ToyData.Texts(20, 1));
        Command.Fails(2, "--freeze-layers must be at most 2", "train", "classify", "--model", model.Path, "--input", train, "--output", data.File("out"), "--freeze-layers", "3");
        Assert.False(Directory.Exists(data.File("out")));
    }

    [Fact]
    public void Dropout_changes_what_is_learned_and_belongs_to_the_run()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", ToyData.Texts(60, 1));
        string[] Arguments(string name, params string[] more) => ["train", "classify", "--model", model.Path, "--input", train, "--output", data.File(name), "--steps", "3", "--batch-tokens", "128", .. more];
        byte[] Run(string name, params string[] more)
        {
            Command.Succeeds(Arguments(name, more));
            return File.ReadAllBytes(Path.Combine(data.File(name), "model.safetensors"));
        }
        byte[] usual = Run("usual");
        Assert.Equal(usual, Run("same", "--dropout", "0.1", "--attention-dropout", "0.1"));
        Assert.NotEqual(usual, Run("none", "--dropout", "0", "--attention-dropout", "0"));
        Assert.NotEqual(usual, Run("hidden", "--dropout", "0.2"));
        Assert.NotEqual(usual, Run("attention", "--attention-dropout", "0.2"));
        Command.Fails(1, "other settings", Arguments("usual", "--dropout", "0.2"));
        Command.Fails(2, "--dropout must be a number from 0 to 0.9", Arguments("usual", "--dropout", "1"));
    }

    [Fact]
    public void Packed_JSON_Lines_are_read_by_column_name()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        using (var file = new StreamWriter(new System.IO.Compression.GZipStream(File.Create(data.File("train.jsonl.gz")), System.IO.Compression.CompressionLevel.Fastest)))
            foreach (string[] row in ToyData.Texts(40, 1).Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(line => line.Split('\t')))
                file.WriteLine($$"""{"intent": "{{row[0]}}", "said": "{{row[1]}}"}""");
        Command.Succeeds("train", "classify", "--model", model.Path, "--input", data.File("train.jsonl.gz"), "--output", data.File("out"), "--steps", "1", "--text-column", "said", "--label-column", "intent");
        Assert.Equal(2, TextEncoder.Load(data.File("out")).Config.NumLabels);
    }

    [Theory]
    [InlineData("classify", "", "holds no labelled rows")]
    [InlineData("classify", "label\ttext\n", "holds no labelled rows, only a header")]
    [InlineData("classify", "name\ttext\na\tb\n", "train.tsv, line 1: there is no column 'label' among name, text")]
    [InlineData("classify", "label\ttext\na\tb\na\tb\tc\n", "train.tsv, line 3: it has 3 columns, but the header has 2")]
    [InlineData("classify", "label\ttext\na\tb\nb\t \n", "train.tsv, line 3: the text is empty")]
    [InlineData("classify", "label\ttext\na\tb\na\tc\n", "every row has the label 'a'")]
    [InlineData("classify", "label\ttext\na\tb\nb\tÿ\n", "train.tsv, line 3: it is not valid UTF-8")]
    [InlineData("ner", "tags\tchars\nO O\ta\n", "train.tsv, line 2: it has 2 tags for 1 characters")]
    [InlineData("ner", "tags\tchars\nO X\ta b\n", "train.tsv, line 2: the tag 'X' is neither")]
    [InlineData("classify", "label\ttext\na\tb\n\tc\n", "train.tsv, line 3: the label is empty")]
    [InlineData("ner", "", "holds no labelled rows")]
    [InlineData("ner", "tags\ttext\nO\ta\n", "train.tsv, line 1: there is no column 'chars' among tags, text; name one with --text-column")]
    [InlineData("ner", "tags\tchars\nO\tÿ\n", "train.tsv, line 2: it is not valid UTF-8")]
    [InlineData("ner", "tags\tchars\nB-x O\ta  b\n", "train.tsv, line 2: it has 2 tags for 3 characters")]
    [InlineData("ner", "tags\tchars\nB-x O O\ta  b\n", "train.tsv, line 2: character 2 is empty")]
    [InlineData("ner", "tags\tchars\nO O\ta b\n", "every tag is O")]
    [InlineData("ner", "tags\tchars\nB-x I-x\ta b\nO I-x\ta b\n", "train.tsv, line 3: the tag 'I-x' of character 2 goes on with an entity that did not begin; write 'B-x'")]
    [InlineData("ner", "tags\tchars\nB-x I-y\ta b\n", "train.tsv, line 2: the tag 'I-y' of character 2")]
    [InlineData("ner", "tags\tchars\nI-x\ta\n", "train.tsv, line 2: the tag 'I-x' of character 1")]
    public void Bad_data_is_one_sentence_and_no_directory(string task, string content, string words)
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        // ÿ stands for its Latin-1 byte, which is no UTF-8.
        byte[] bytes = [.. content.SelectMany(c => c == 'ÿ' ? [0xFF] : System.Text.Encoding.UTF8.GetBytes([c]))];
        data.Write("train.tsv", bytes);
        Command.Fails(1, words, "train", task, "--model", model.Path, "--input", data.File("train.tsv"), "--output", data.File("out"));
        Assert.False(Directory.Exists(data.File("out")));
    }

    [Theory]
    [InlineData("classify")]
    [InlineData("ner")]
    [InlineData("mlm")]
    public void A_damaged_gz_is_one_sentence_and_no_directory(string task)
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string content = task == "mlm" ? ToyData.Texts(400, 1).Replace('\t', ' ') : task == "ner" ? ToyData.Tagged(400, 1) : ToyData.Texts(400, 1);
        using var packed = new MemoryStream();
        using (var gz = new System.IO.Compression.GZipStream(packed, System.IO.Compression.CompressionLevel.Fastest, leaveOpen: true)) gz.Write(System.Text.Encoding.UTF8.GetBytes(content));
        byte[] whole = packed.ToArray(), flipped = [.. whole];
        flipped[^7] ^= 1; // in the checksum
        void Fails(string words, byte[] bytes) =>
            Command.Fails(1, words, "train", task, "--model", model.Path, "--input", data.Write("train.tsv.gz", bytes), "--output", data.File("out"), "--steps", "1");
        Fails("train.tsv.gz, line 1: from here on the .gz cannot be unpacked: it is cut off, damaged or no .gz at all", System.Text.Encoding.UTF8.GetBytes(content));
        foreach (byte[] bytes in (byte[][])[whole[..(whole.Length / 2)], whole[..^8], whole[..^3], flipped]) Fails("from here on the .gz cannot be unpacked", bytes);
        Fails("train.tsv.gz holds no", []);
        Assert.Equal(["train.tsv.gz"], Directory.GetFileSystemEntries(data.Path).Select(Path.GetFileName));
    }

    [Fact]
    public void An_unknown_tag_to_measure_on_is_refused_with_its_line()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", "tags\tchars\nB-x O\ta b\n"), valid = data.Write("valid.tsv", "tags\tchars\nB-x O\ta b\nO B-z\ta b\n"), output = data.File("out");
        Command.Fails(1, "valid.tsv, line 3: the tag 'B-z' is none of those that were learned (O, B-x, I-x)", "train", "ner", "--model", model.Path, "--input", train, "--valid", valid, "--output", output);
        Command.Succeeds("train", "ner", "--model", model.Path, "--input", train, "--output", output, "--steps", "1");
        Command.Fails(1, "valid.tsv, line 3: the tag 'B-z' is none of those", "evaluate", "ner", "--model", output, "--input", valid);
    }

    [Theory]
    [InlineData("classify")]
    [InlineData("ner")]
    public void An_output_that_cannot_be_is_refused(string task)
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", task == "ner" ? ToyData.Tagged(20, 1) : ToyData.Texts(20, 1));
        string[] Arguments(string output, params string[] more) => ["train", task, "--model", model.Path, "--input", train, "--output", output, "--steps", "2", .. more];
        Command.Fails(2, "is a file; name a directory", Arguments(train));
        Command.Fails(2, "is a file; name a directory", Arguments(data.Write("plain", "") + "/out"));
        Command.Fails(2, "there is no directory", Arguments(data.File("no/out")));
        Command.Fails(2, "must name a directory, but is empty", Arguments(""));
        if (OperatingSystem.IsLinux()) Command.Fails(1, "--output '/proc/out' cannot be made", Arguments("/proc/out")); // nobody may write there
        Command.Succeeds(Arguments(data.File("out")));
        Command.Fails(1, "was written with other settings", Arguments(data.File("out"), "--seed", "9"));
        Command.Fails(2, "holds a run with other labels", "train", task, "--model", model.Path, "--output", data.File("out"), "--steps", "2", "--input",
            data.Write("other.tsv", task == "ner" ? "tags\tchars\nB-x\ta\nB-x\tb\n" : "label\ttext\nx\ta\nx\tc\ny\tb\ny\ta\n"));
    }

    [Theory]
    [InlineData("--regression learns one number", "classify", "--regression", "--multi-label")]
    [InlineData("--label-smoothing is for texts of one label", "classify", "--regression", "--label-smoothing", "0.1")]
    [InlineData("--label-separator must not be empty", "classify", "--label-separator", "")]
    [InlineData("give one", "ner", "--steps", "3", "--epochs", "3")]
    [InlineData("needs --valid", "ner", "--patience", "3")]
    [InlineData("--schedule must be linear, cosine or constant, but is 'step'", "classify", "--schedule", "step")]
    public void Options_that_contradict_each_other_are_refused(string words, string task, params string[] more)
    {
        using var data = new TemporaryDirectory();
        Command.Fails(2, words, ["train", task, "--input", data.File("train.tsv"), "--output", data.File("out"), .. more]);
    }

    [Fact]
    public void An_unknown_label_to_measure_on_is_refused_with_its_line()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", "label\ttext\na\tb\nb\tc\n"), valid = data.Write("valid.tsv", "label\ttext\na\tb\nz\tc\n");
        Command.Fails(1, "valid.tsv, line 3: the label 'z' is none of those that were learned (a, b)", "train", "classify", "--model", model.Path, "--input", train, "--valid", valid, "--output", data.File("out"));
    }

    [Fact]
    public void A_label_with_one_example_is_noted()
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", "label\ttext\na\tb\na\tc\nrare\tc\n");
        Ran ran = Command.Succeeds("train", "classify", "--model", model.Path, "--input", train, "--output", data.File("out"), "--steps", "1");
        Assert.Contains("only one example of rare", ran.Error);
    }
}
