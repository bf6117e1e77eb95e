using System.Text;
using System.Text.Json.Nodes;
using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

public class EncoderConfigTests
{
    private const string Minimal = """
        {"model_type":"bert","vocab_size":200,"hidden_size":32,"num_hidden_layers":3,"num_attention_heads":4,"intermediate_size":64,"max_position_embeddings":64}
        """;

    [Fact]
    public void The_golden_configuration_is_read()
    {
        EncoderConfig config = EncoderConfig.Load(Golden.Path("bert-tiny"));
        Assert.Equal("bert", config.ModelType);
        Assert.Equal(["BertForPreTraining"], config.Architectures);
        Assert.Equal((200, 32, 3, 4, 8, 64, 64, 2), (config.VocabularySize, config.HiddenSize, config.Layers, config.Heads, config.HeadSize, config.IntermediateSize, config.MaxPositions, config.TypeVocabularySize));
        Assert.Equal("gelu", config.Activation);
        Assert.Equal(1e-12, config.LayerNormEpsilon);
        Assert.Equal(0, config.PadTokenId);
        Assert.Null(config.Labels);
        Assert.Equal(2, config.NumLabels);
        Assert.Null(config.ProblemType);
        Assert.Equal("absolute", config.PositionEmbeddingType);
        Assert.True(config.TieWordEmbeddings);
        Assert.Equal("float32", config.TorchDtype);
    }

    [Fact]
    public void Defaults_are_those_of_Hugging_Face()
    {
        EncoderConfig config = Parse(Minimal);
        Assert.Equal((2, 0, 2, "gelu", 1e-12, true), (config.TypeVocabularySize, config.PadTokenId, config.NumLabels, config.Activation, config.LayerNormEpsilon, config.TieWordEmbeddings));
        Assert.Empty(config.Architectures);
    }

    [Fact]
    public void Labels_are_in_the_order_of_their_numbers()
    {
        EncoderConfig config = Parse(With("id2label", """{"2":"c","10":"k","1":"b","0":"a","3":"d","4":"e","5":"f","6":"g","7":"h","8":"i","9":"j"}"""));
        Assert.Equal("abcdefghijk", string.Concat(config.Labels!));
        Assert.Equal(11, config.NumLabels);
        Assert.Equal(5, Parse(With("num_labels", "5")).NumLabels);
        Assert.Null(Parse(With("id2label", "{}")).Labels);
    }

    [Fact]
    public void A_field_given_twice_has_the_later_value()
    {
        Assert.Equal(9, Parse(Minimal.Replace("{\"model", "{\"num_hidden_layers\":2,\"model").Replace("layers\":3", "layers\":9")).Layers);
    }

    [Fact]
    public void Newer_names_of_the_dtype_are_read() => Assert.Equal("bfloat16", Parse(With("dtype", "\"bfloat16\"")).TorchDtype);

    [Theory]
    [InlineData("model_type", "\"roberta\"", "'roberta'", "supported: bert")]
    [InlineData("model_type", "\"BERT\"", "'BERT'", "supported: bert")]
    [InlineData("model_type", "null", "missing", "bert")]
    [InlineData("model_type", "7", "'7'", "a text")]
    [InlineData("vocab_size", "0", "'0'", "from 1 to")]
    [InlineData("vocab_size", "-5", "'-5'", "from 1 to")]
    [InlineData("vocab_size", "99999999999999999999", "'99999999999999999999'", "from 1 to")]
    [InlineData("vocab_size", "null", "missing", "from 1 to")]
    [InlineData("hidden_size", "1048577", "'1048577'", "from 1 to 1048576")]
    [InlineData("hidden_size", "32.5", "'32.5'", "whole number")]
    [InlineData("hidden_size", "\"32\"", "'\"32\"'", "whole number")]
    [InlineData("hidden_size", "true", "'true'", "whole number")]
    [InlineData("hidden_size", "[32]", "'[32]'", "whole number")]
    [InlineData("num_hidden_layers", "0", "'0'", "from 1 to")]
    [InlineData("num_hidden_layers", "1000000", "'1000000'", "from 1 to 1024")]
    [InlineData("num_attention_heads", "5", "5", "a divisor of hidden_size, 32")]
    [InlineData("num_attention_heads", "64", "'64'", "from 1 to 32")]
    [InlineData("intermediate_size", "0", "'0'", "from 1 to")]
    [InlineData("max_position_embeddings", "0", "'0'", "from 1 to")]
    [InlineData("type_vocab_size", "0", "'0'", "from 1 to")]
    [InlineData("layer_norm_eps", "-1e-12", "'-1e-12'", "from 0 to 1")]
    [InlineData("layer_norm_eps", "1e999", "'1e999'", "from 0 to 1")]
    [InlineData("layer_norm_eps", "\"1e-12\"", "'\"1e-12\"'", "from 0 to 1")]
    [InlineData("pad_token_id", "200", "'200'", "from 0 to 199")]
    [InlineData("pad_token_id", "-1", "'-1'", "from 0 to 199")]
    [InlineData("hidden_act", "\"gelu_magic\"", "'gelu_magic'", "gelu, gelu_new")]
    [InlineData("hidden_act", "{}", "'{}'", "a text")]
    [InlineData("position_embedding_type", "\"relative_key\"", "'relative_key'", "supported: absolute")]
    [InlineData("position_embedding_type", "\"relative_key_query\"", "'relative_key_query'", "supported: absolute")]
    [InlineData("is_decoder", "true", "true", "encoder")]
    [InlineData("is_decoder", "1", "'1'", "true or false")]
    [InlineData("add_cross_attention", "true", "true", "encoder")]
    [InlineData("pruned_heads", "{\"0\":[1]}", "not empty", "all their heads")]
    [InlineData("problem_type", "\"ranking\"", "'ranking'", "regression")]
    [InlineData("tie_word_embeddings", "\"yes\"", "'\"yes\"'", "true or false")]
    [InlineData("architectures", "\"BertModel\"", "'\"BertModel\"'", "list of texts")]
    [InlineData("architectures", "[1]", "'[1]'", "list of texts")]
    [InlineData("id2label", "[\"a\"]", "'[\"a\"]'", "an object")]
    [InlineData("id2label", "{\"0\":\"a\",\"2\":\"c\"}", "other keys", "from 0 to n - 1")]
    [InlineData("id2label", "{\"1\":\"a\"}", "other keys", "from 0 to n - 1")]
    [InlineData("id2label", "{\"x\":\"a\"}", "other keys", "from 0 to n - 1")]
    [InlineData("id2label", "{\"0\":\"a\",\"00\":\"b\"}", "other keys", "from 0 to n - 1")]
    [InlineData("id2label", "{\"0\":5}", "id2label['0']", "a text")]
    [InlineData("num_labels", "0", "'0'", "from 1 to")]
    public void What_is_not_supported_is_refused(string field, string value, string found, string supported) =>
        Refusal.Contains(() => Parse(With(field, value)), "config.json", field, found, supported);

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("{")]
    [InlineData("{} {}")]
    [InlineData("{\"model_type\":\"bert\",}")]
    [InlineData("{\"model_type\":NaN}")]
    [InlineData("{\"model_type\":\"\\ud800\"}")]
    [InlineData("{\"model_type\":\"bert\",\"x\":[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}")]
    public void What_is_no_configuration_is_refused(string json) => Refusal.Contains(() => Parse(json), "config.json");

    [Fact]
    public void Text_that_is_not_UTF_8_is_refused() =>
        Refusal.Contains(() => EncoderConfig.Parse([.. "{\"model_type\":\""u8, 0xff, .. "\"}"u8], "config.json"), "config.json");

    [Fact]
    public void A_directory_without_a_configuration_is_named()
    {
        using TemporaryDirectory directory = new();
        Assert.Contains(directory.Path, Assert.Throws<FileNotFoundException>(() => EncoderConfig.Load(directory.Path)).Message);
    }

    private static EncoderConfig Parse(string json) => EncoderConfig.Parse(Encoding.UTF8.GetBytes(json), "config.json");

    /// <summary>The minimal configuration with a field of the raw value; null removes it. A later field wins.</summary>
    private static string With(string field, string value)
    {
        if (value != "null")
        {
            return Minimal.Trim()[..^1] + $",\"{field}\":{value}}}";
        }

        JsonObject json = JsonNode.Parse(Minimal)!.AsObject();
        json.Remove(field);
        return json.ToJsonString();
    }
}
