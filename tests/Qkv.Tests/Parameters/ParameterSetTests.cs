using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

public class ParameterSetTests
{
    private const string Words = "bert.embeddings.word_embeddings.weight";
    private const string Query = "encoder.layer.0.attention.self.query.weight";
    private const string Decoder = "cls.predictions.decoder.weight";

    [Theory]
    [InlineData("bert-tiny", "")]
    [InlineData("bert-tiny-sharded", "")]
    [InlineData("bert-tiny-bin", "")]
    [InlineData("bert-tiny-f16", "")]
    [InlineData("bert-tiny-bf16", "")]
    [InlineData("bert-tiny-legacy-names", "bert.embeddings.position_ids")]
    public void Every_golden_container_resolves(string folder, string ignored)
    {
        using ParameterFile file = ParameterFile.OpenDirectory(Golden.Path(folder));
        EncoderConfig config = EncoderConfig.Load(Golden.Path(folder));
        ParameterSet set = ParameterSet.Resolve(file, config);
        Assert.All(ParameterNames.For(config).EncoderNames, name => Assert.NotNull(set.Find(name)));
        Assert.Equal(ignored, string.Join(",", set.Ignored));
        Assert.Contains("bert.pooler.dense.weight", set.Heads);
        Assert.NotNull(set.Find("pooler.dense.weight"));
        Assert.NotNull(set.Find("cls.predictions.bias"));
        Assert.Null(set.Find("classifier.weight"));
        Assert.Equal([200, 32], set.Require(Decoder).Shape);
        Refusal.Contains(() => set.Require("qa_outputs.weight"), file.Path, "'qa_outputs.weight' is missing");
        Assert.Throws<ArgumentException>(() => set.Find("nothing"));

        float[] expected = file.ReadAll(Words)[32..96], actual = new float[64];
        set.Read("embeddings.word_embeddings.weight", 32, actual);
        Assert.Equal(expected, actual);
        set.Read(Decoder, 32, actual);
        Assert.Equal(expected, actual);
        byte[] stored = new byte[8];
        set.ReadBytes(Query, 4, stored);
        byte[] direct = new byte[8];
        file.ReadBytes("bert." + Query, 4, direct);
        Assert.Equal(direct, stored);
    }

    [Fact]
    public void The_prefix_may_be_absent()
    {
        using Model model = new();
        model.Rename(name => name.StartsWith("bert.", StringComparison.Ordinal) ? name[5..] : name);
        Assert.Equal(Query, model.Resolve().Find(Query)!.Name);
    }

    [Fact]
    public void The_bare_encoder_has_no_language_model()
    {
        using Model model = new();
        model.Tensors.RemoveAll(tensor => tensor.Name.StartsWith("cls.", StringComparison.Ordinal));
        Assert.Null(model.Resolve().Find(Decoder));
        Assert.Null(model.Resolve().Find("cls.predictions.bias"));
    }

    [Fact]
    public void What_is_outside_the_encoder_is_ignored_and_listed()
    {
        using Model model = new();
        model.Add("bert.embeddings.token_type_ids", ElementType.I64, 1, 64);
        model.Add("bert.embeddings.position_ids", ElementType.I64, 1, 64);
        model.Add("adapter.weight", ElementType.I8, 3);
        model.Add("classifier.weight", ElementType.F32, 7, 32);
        ParameterSet set = model.Resolve();
        Assert.Equal(["adapter.weight", "bert.embeddings.position_ids", "bert.embeddings.token_type_ids"], set.Ignored);
        Assert.Contains("classifier.weight", set.Heads);
        Refusal.Contains(() => set.Find("classifier.weight"), "model.safetensors", "'classifier.weight' has shape (7, 32)", "(2, 32)");
    }

    [Theory]
    [InlineData("BertForSequenceClassification", 2)]
    [InlineData("BertForMultipleChoice", 1)]
    public void A_classifier_has_a_row_for_each_label_or_one_for_a_choice(string architecture, long rows)
    {
        using Model model = new();
        model.Add("classifier.weight", ElementType.F32, rows, 32);
        model.Config = model.Config with { Architectures = [architecture] };
        Assert.Equal([rows, 32], model.Resolve().Require("classifier.weight").Shape);
    }

    [Fact]
    public void A_missing_tensor_is_named()
    {
        using Model model = new();
        model.Tensors.RemoveAll(tensor => tensor.Name == "bert." + Query);
        Refusal.Contains(() => model.Resolve(), "model.safetensors", $"'{Query}' is missing", "bert." + Query);
    }

    [Fact]
    public void A_misshapen_tensor_is_named_with_both_shapes()
    {
        using Model model = new();
        model.Replace("bert." + Query, ElementType.F32, 32, 33);
        Refusal.Contains(() => model.Resolve(), "model.safetensors", $"'bert.{Query}' has shape (32, 33)", "(32, 32)");
    }

    [Theory]
    [InlineData(ElementType.I8)]
    [InlineData(ElementType.I64)]
    [InlineData(ElementType.Bool)]
    public void A_tensor_of_integers_is_refused(ElementType type)
    {
        using Model model = new();
        model.Replace("bert." + Query, type, 32, 32);
        Refusal.Contains(() => model.Resolve(), "model.safetensors", $"'bert.{Query}' is", "F32, F16, BF16 or F64");
    }

    [Theory]
    [InlineData("bert.encoder.layer.3.attention.self.query.weight")]
    [InlineData("encoder.layer.7.output.dense.bias")]
    [InlineData("bert.encoder.layer.0.attention.self.distance_embedding.weight")]
    [InlineData("bert.encoder.layer.0.crossattention.self.query.weight")]
    [InlineData("bert.encoder.layer.00.output.dense.bias")]
    [InlineData("bert.embeddings.projection.weight")]
    [InlineData("encoder.relative_attention_bias.weight")]
    public void An_unknown_tensor_inside_the_encoder_is_refused(string name)
    {
        using Model model = new();
        model.Add(name, ElementType.F32, 32);
        Refusal.Contains(() => model.Resolve(), "model.safetensors", $"'{name}'", "bert with 3 layers");
    }

    [Fact]
    public void Fewer_layers_in_the_configuration_than_in_the_file_are_refused()
    {
        using Model model = new();
        model.Config = model.Config with { Layers = 2 };
        Refusal.Contains(() => model.Resolve(), "model.safetensors", "bert.encoder.layer.2.", "bert with 2 layers");
    }

    [Theory]
    [InlineData("encoder.layer.1.output.dense.bias", "bert.encoder.layer.1.output.dense.bias")]
    [InlineData("bert.encoder.layer.1.output.LayerNorm.beta", "bert.encoder.layer.1.output.LayerNorm.bias")]
    [InlineData("embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight")]
    public void A_parameter_stored_under_two_names_is_refused(string added, string present)
    {
        using Model model = new();
        model.Add(added, ElementType.F32, 32);
        Refusal.Contains(() => model.Resolve(), "model.safetensors", $"'{added}'", $"'{present}'", "same parameter");
    }

    [Fact]
    public void A_tied_decoder_that_differs_is_refused_only_where_it_is_used()
    {
        using Model model = new();
        model.Add(Decoder, ElementType.F32, 200, 32);
        ParameterSet set = model.Resolve();
        Refusal.Contains(() => set.Find(Decoder), "model.safetensors", $"'{Decoder}'", $"'{Words}'", "tie_word_embeddings");
        model.Config = model.Config with { TieWordEmbeddings = false };
        Assert.Equal(Decoder, model.Resolve().Require(Decoder).Name);
    }

    [Fact]
    public void A_decoder_that_is_neither_stored_nor_tied_is_missing()
    {
        using Model model = new();
        model.Config = model.Config with { TieWordEmbeddings = false };
        ParameterSet set = model.Resolve();
        Assert.Null(set.Find(Decoder));
        Refusal.Contains(() => set.Require(Decoder), "model.safetensors", $"'{Decoder}' is missing");
    }

    [Fact]
    public void The_decoder_bias_stands_in_for_the_head_bias()
    {
        using Model model = new();
        model.Rename(name => name == "cls.predictions.bias" ? "cls.predictions.decoder.bias" : name);
        Assert.Equal("cls.predictions.decoder.bias", model.Resolve().Require("cls.predictions.bias").Name);
    }

    /// <summary>bert-tiny, changed and written again.</summary>
    private sealed class Model : IDisposable
    {
        private readonly TemporaryDirectory _directory = new();
        private readonly List<ParameterFile> _opened = [];

        public Model()
        {
            using ParameterFile source = ParameterFile.OpenDirectory(Golden.Path("bert-tiny"));
            Config = EncoderConfig.Load(Golden.Path("bert-tiny"));
            Tensors = [.. source.Parameters.Values.Select(p => SafetensorsTensor.Of(p.Name, p.Type, p.Shape, source.ReadAllBytes(p.Name)))];
        }

        public EncoderConfig Config { get; set; }

        public List<SafetensorsTensor> Tensors { get; private set; }

        public void Add(string name, ElementType type, params long[] shape) =>
            Tensors.Add(SafetensorsTensor.Of(name, type, shape, new byte[shape.Aggregate(1L, (a, b) => a * b) * type.Size()]));

        public void Replace(string name, ElementType type, params long[] shape)
        {
            Tensors.RemoveAll(tensor => tensor.Name == name);
            Add(name, type, shape);
        }

        public void Rename(Func<string, string> rename) => Tensors = [.. Tensors.Select(tensor => tensor with { Name = rename(tensor.Name) })];

        public ParameterSet Resolve()
        {
            string path = _directory.File("model.safetensors");
            SafetensorsWriter.Write(path, Tensors);
            _opened.Add(ParameterFile.Open(path));
            return ParameterSet.Resolve(_opened[^1], Config);
        }

        public void Dispose()
        {
            _opened.ForEach(file => file.Dispose());
            _directory.Dispose();
        }
    }
}
