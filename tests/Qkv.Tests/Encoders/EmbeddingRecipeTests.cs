using System.Text.Json.Nodes;
using Qkv.Tests.Docs;

namespace Qkv.Tests.Encoders;

/// <summary>What sentence-transformers' files say of texts before they become tokens.</summary>
public sealed class EmbeddingRecipeTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Lower_casing_before_the_tokenizer_is_done_by_the_tokenizer_or_refused(bool lowers)
    {
        string models = Path.Combine(Document.Root, "models");
        foreach (string file in Directory.GetFiles(models)) File.Copy(file, Path.Combine(_directory.Path, Path.GetFileName(file)));
        Directory.CreateDirectory(Path.Combine(_directory.Path, "1_Pooling"));
        File.Copy(Path.Combine(models, "1_Pooling", "config.json"), Path.Combine(_directory.Path, "1_Pooling", "config.json"));
        Set("sentence_bert_config.json", true);
        Set("tokenizer_config.json", lowers);
        if (lowers) Assert.Equal(TextEncoder.Load(models).Embed("Paris"), TextEncoder.Load(_directory.Path).Embed("PARIS"));
        else Assert.Contains("do_lower_case", Assert.Throws<InvalidDataException>(() => TextEncoder.Load(_directory.Path)).Message);
    }

    public void Dispose() => _directory.Dispose();

    private void Set(string file, bool lowerCase)
    {
        string path = Path.Combine(_directory.Path, file);
        JsonNode json = JsonNode.Parse(File.ReadAllText(path))!;
        json["do_lower_case"] = lowerCase;
        File.WriteAllText(path, json.ToJsonString());
    }
}
