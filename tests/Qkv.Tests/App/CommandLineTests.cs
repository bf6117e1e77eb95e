namespace Qkv.Tests.App;

public class CommandLineTests
{
    [Theory]
    [InlineData("name a command", new string[0])]
    [InlineData("there is no command 'look'", new[] { "look" })]
    [InlineData("'TEXT' missing", new[] { "attend" })]
    [InlineData("there is no option '--normalise'", new[] { "embed", "a", "--normalise" })]
    [InlineData("there is no option '-o'", new[] { "embed", "a", "-o", "b.npy" })]
    [InlineData("--threads must be a whole number of at least 1, but is '0'", new[] { "doctor", "--threads", "0" })]
    [InlineData("--threads must be a whole number of at least 1, but is 'two'", new[] { "doctor", "--threads", "two" })]
    [InlineData("evaluate mlm computes in float32 only", new[] { "evaluate", "mlm", "--input", "a", "--precision", "bfloat16" })]
    [InlineData("train computes in float32 only", new[] { "train", "mlm", "--input", "a", "--output", "b", "--precision", "int8" })]
    [InlineData("--precision must be float32, bfloat16 or int8, but is 'int9'", new[] { "doctor", "--precision", "int9" })]
    [InlineData("--model must name a directory", new[] { "doctor", "--model", "" })]
    [InlineData("--format must be terminal, json, svg, html or safetensors, but is 'gif'", new[] { "attend", "a", "--format", "gif" })]
    [InlineData("there is no command '[look]'", new[] { "[look]", "embed", "a" })]
    [InlineData("'--json=false': the option takes no value", new[] { "embed", "a", "--json=false" })]
    [InlineData("'--json=false': the option takes no value", new[] { "attend", "a", "--json=false" })]
    [InlineData("'-h:what': the option takes no value", new[] { "embed", "-h:what" })]
    [InlineData("there is no option '--Normalize'", new[] { "embed", "a", "--Normalize" })]
    [InlineData("there is no command 'train look'; see 'qkv train --help'", new[] { "train", "look" })]
    [InlineData("name a command: mlm, classify", new[] { "evaluate" })]
    [InlineData("see 'qkv evaluate mlm --help'", new[] { "evaluate", "mlm", "--input", "a", "--length", "2" })]
    [InlineData("--threads must be a whole number from 1 to 2147483647, but is '99999999999'", new[] { "doctor", "--threads", "99999999999" })]
    [InlineData("--max-length must leave room for the 2 special tokens, but is 1", new[] { "tokenize", "a", "--max-length", "1" })]
    [InlineData("add --pair TEXT", new[] { "tokenize", "a", "--max-length", "8", "--truncation", "only_second" })]
    [InlineData("--layers is about a new model", new[] { "train", "mlm", "--input", "a", "--output", "b", "--layers", "2" })]
    [InlineData("--hidden must be a multiple of --heads, but 33 is none of 2", new[] { "train", "mlm", "--input", "a", "--output", "b", "--vocabulary", "c", "--hidden", "33", "--heads", "2" })]
    [InlineData("give one of them", new[] { "train", "mlm", "--input", "a", "--output", "b", "--vocabulary", "c", "--model", "d" })]
    [InlineData("which needs --valid", new[] { "train", "classify", "--input", "a", "--output", "b", "--evaluate-every", "2" })]
    [InlineData("--type says how parameters are stored", new[] { "convert", "--output", "b", "--precision", "int8" })]
    [InlineData("--context' is required", new[] { "answer", "--question", "a" })]
    public void Wrong_usage_is_one_sentence_and_exit_code_2(string words, string[] arguments) => Command.Fails(2, words, arguments);

    [Fact]
    public void What_other_systems_take_for_a_question_is_a_text() => Assert.StartsWith("{\"text\":\"/?\"", Command.Succeeds("embed", "/?").Output);

    [Theory]
    [InlineData("attend", "a")]
    [InlineData("embed", "a")]
    [InlineData("tokenize", "a")]
    [InlineData("doctor")]
    public void A_directory_that_is_not_there_is_one_sentence(params string[] arguments) =>
        Command.Fails(1, "There is no directory 'nowhere'; nothing is downloaded", [.. arguments, "--model", "nowhere"]);

    /// <summary>Whether it was written in another way or through a link.</summary>
    [Fact]
    public void An_output_does_not_replace_its_input()
    {
        using var directory = new TemporaryDirectory();
        directory.Write("t.jsonl", "\"a\"");
        string file = directory.File("t.jsonl"), link = directory.File("link.jsonl"), directoryLink = directory.File("link");
        List<string> outputs = [file, Path.Combine(directory.Path, ".", "t.jsonl")];
        // On Windows links need a privilege.
        if (!OperatingSystem.IsWindows())
        {
            File.CreateSymbolicLink(link, file);
            Directory.CreateSymbolicLink(directoryLink, directory.Path);
            outputs.AddRange([link, Path.Combine(directoryLink, "t.jsonl")]);
        }
        foreach (string output in outputs)
        {
            Command.Fails(2, "is the input, which would be lost", "embed", "--input", file, "--output", output);
            Command.Fails(2, "is the input, which would be lost", "train", "vocabulary", "--input", file, "--output", output);
            Command.Fails(2, "is the input, which would be lost", "trace", "--inputs", file, "--output", output);
        }
        Assert.Equal("\"a\"", File.ReadAllText(file));
    }

    [Fact]
    public void A_directory_that_is_no_model_is_one_sentence() => Command.Fails(1, "it has no config.json", "doctor", "--model", Command.Golden("tokenizer"));

    [Fact]
    public void A_model_without_a_tokenizer_says_so() => Command.Fails(1, "has no tokenizer", "attend", "a", "--model", Command.Golden("bert-tiny"));

    [Fact]
    public void A_stack_trace_is_shown_only_when_asked_for()
    {
        Ran ran = Command.Run("doctor", "--model", "nowhere", "--verbose");
        Assert.StartsWith("qkv: There is no directory 'nowhere'; nothing is downloaded, so give the path of a Hugging Face directory.\n", ran.Error);
        Assert.Contains("   at ", ran.Error);
    }

    [Fact]
    public void Texts_may_look_like_options_behind_two_dashes_and_like_files_of_arguments_anywhere() =>
        Assert.Equal(["--json", "@a", "-a"], Command.Succeeds("embed", "--dimensions", "1", "--", "--json", "@a", "-a").JsonLines.Select(row => row.GetProperty("text").GetString()));

    [Fact]
    public void More_threads_than_the_machine_has_cost_nothing() =>
        Assert.Equal(Command.Succeeds("embed", "a").Output, Command.Succeeds("embed", "a", "--threads", "3000000").Output);

    [Fact]
    public void Every_command_that_help_names_is_made_by_its_name()
    {
        string[] verbs = [.. Command.Succeeds("--help").Output.Split('\n').SkipWhile(line => line != "Commands:").Skip(1)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault("")).TakeWhile(verb => verb.Length > 0)];
        Assert.True(verbs.Length >= 13);
        Assert.All(verbs, verb => Assert.Matches($@"Usage:\s+\S+ {verb} ", Command.Succeeds(verb, "--help").Output));
    }

    [Fact]
    public void Help_names_every_command()
    {
        Ran help = Command.Succeeds("--help");
        Assert.All(["attend", "embed", "fill-mask", "classify", "ner", "answer", "tokenize", "trace", "doctor"], verb => Assert.Contains($"  {verb}", help.Output));
        Assert.Equal("", help.Error);
    }
}
