using System.Text.Json;
using System.Text.RegularExpressions;
using Qkv.Parameters;
using Qkv.Tests.App;

namespace Qkv.Tests.Training;

/// <summary>What training saves against what transformers saved: the same names and fields, nothing missing and nothing more.</summary>
public partial class HuggingFaceDirectoryTests
{
    [Theory]
    [InlineData("bert-sequence-classification", "single_label_classification", "classify")]
    [InlineData("bert-multilabel", "multi_label_classification", "classify", "--multi-label")]
    [InlineData("bert-regression", "regression", "classify", "--regression")]
    [InlineData("bert-token-classification", null, "ner")]
    public void A_task_s_directory_is_the_one_that_transformers_writes(string golden, string? problem, string task, params string[] more)
    {
        using TemporaryDirectory model = ToyData.Model(), data = new();
        string train = data.Write("train.tsv", task == "ner" ? ToyData.Tagged(20, 1) : golden == "bert-regression" ? ToyData.Counts(20, 1) : ToyData.Texts(20, 1)), output = data.File("out");
        Command.Succeeds(["train", task, "--model", model.Path, "--input", train, "--output", output, "--steps", "1", .. more]);

        Assert.Equal(Names(Command.Golden(golden), layers: 2), Names(output, layers: 2));
        using var file = new SafetensorsFile(Path.Combine(output, "model.safetensors"));
        Assert.Equal("pt", file.Metadata["format"]); // transformers refuses a file without it

        JsonElement theirs = Config(Command.Golden(golden)), ours = Config(output);
        // Which transformers wrote it, and two defaults that mean nothing to an encoder.
        foreach (JsonProperty field in theirs.EnumerateObject().Where(field => field.Name is not ("transformers_version" or "use_cache" or "classifier_dropout")))
            Assert.Equal(field.Value.ValueKind, ours.GetProperty(field.Name).ValueKind);
        Assert.Equal(theirs.GetProperty("architectures")[0].GetString(), ours.GetProperty("architectures")[0].GetString());
        Assert.Equal(problem, ours.TryGetProperty("problem_type", out JsonElement type) ? type.GetString() : null);
        Assert.Equal(ours.GetProperty("id2label").EnumerateObject().Select(label => (label.Value.GetString(), label.Name)),
            ours.GetProperty("label2id").EnumerateObject().Select(label => ((string?)label.Name, label.Value.GetRawText())));
        Assert.Equal(["vocab.txt", "tokenizer_config.json", "config.json", "model.safetensors"],
            ((string[])["vocab.txt", "tokenizer_config.json", "config.json", "model.safetensors"]).Where(name => File.Exists(Path.Combine(output, name))));
    }

    [Fact]
    public void A_masked_language_model_s_names_are_those_of_BertForMaskedLM()
    {
        using TemporaryDirectory model = ToyData.Model();
        // The golden was saved with a pooler and the next-sentence head, which BertForMaskedLM has not.
        Assert.Equal(Names(Command.Golden("bert-tiny"), layers: 2).Where(name => !name.Contains("pooler") && !name.Contains("seq_relationship")), Names(model.Path, layers: 2));
        Assert.Equal("BertForMaskedLM", Config(model.Path).GetProperty("architectures")[0].GetString());
    }

    /// <summary>The names of a file, its first layer's repeated for as many layers, after all its layers have been found to be like that.</summary>
    private static string[] Names(string directory, int layers)
    {
        using var file = new SafetensorsFile(Path.Combine(directory, "model.safetensors"));
        int own = Config(directory).GetProperty("num_hidden_layers").GetInt32();
        string[] names = [.. file.Parameters.Keys], layered = [.. names.Where(name => Layer().IsMatch(name)).Select(name => Layer().Replace(name, "layer.*.")).Distinct()];
        string[] others = [.. names.Where(name => !Layer().IsMatch(name))];
        string[] Repeated(int count) => [.. others.Concat(layered.SelectMany(name => Enumerable.Range(0, count).Select(i => name.Replace("*", $"{i}")))).Order(StringComparer.Ordinal)];
        Assert.Equal(Repeated(own), names.Order(StringComparer.Ordinal));
        return Repeated(layers);
    }

    private static JsonElement Config(string directory) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "config.json"))).RootElement;

    [GeneratedRegex(@"layer\.\d+\.")]
    private static partial Regex Layer();
}
