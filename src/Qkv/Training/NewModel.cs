using System.Text.Json;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>The shape of a model that is trained from nothing.</summary>
/// <param name="Layers">Layers.</param>
/// <param name="Hidden">C</param>
/// <param name="Heads">H; divides C.</param>
/// <param name="Intermediate">I</param>
/// <param name="Positions">The longest sequence.</param>
internal sealed record ModelShape(int Layers = 4, int Hidden = 256, int Heads = 4, int Intermediate = 1024, int Positions = 512);

/// <summary>
/// A Hugging Face directory of a BERT masked language model with initial parameters. Two of them are not BERT's own and make small
/// models learn attention early: position embeddings start as sinusoids (Vaswani et al. 2017) a little stronger than the words, and
/// queries and keys start sharper than the other maps.
/// </summary>
internal static class NewModel
{
    private const double WordDeviation = 0.05;
    private const double PositionStrength = 1.4;
    private const double QueryKeyDeviation = 0.06;
    private const double MapDeviation = 0.04;
    private const double SegmentDeviation = 0.02;

    /// <summary>Writes config.json, vocab.txt, tokenizer_config.json and model.safetensors.</summary>
    /// <param name="directory">A directory that exists and is empty.</param>
    /// <param name="vocabularyPath">A vocab.txt.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="seed">Where the random numbers start.</param>
    /// <param name="lowerCase">Whether texts are lower-cased, as the vocabulary has to be.</param>
    /// <exception cref="InvalidDataException">The vocabulary is damaged or the shape is impossible.</exception>
    public static void Write(string directory, string vocabularyPath, ModelShape shape, ulong seed, bool lowerCase = true)
    {
        // What is wrong with it is said of this file, not of the copy.
        Vocabulary.ReadLines(vocabularyPath);
        File.Copy(vocabularyPath, Path.Combine(directory, "vocab.txt"));
        WriteJson(Path.Combine(directory, "tokenizer_config.json"), json =>
        {
            json.WriteString("tokenizer_class", "BertTokenizer");
            json.WriteBoolean("do_lower_case", lowerCase);
            json.WriteBoolean("tokenize_chinese_chars", true);
            json.WriteNull("strip_accents");
            json.WriteNumber("model_max_length", shape.Positions);
        });
        WriteConfig(directory, Tokenizer.Load(directory).Vocabulary.Count, shape);
        EncoderConfig config = EncoderConfig.Load(directory);
        ParameterNames names = ParameterNames.For(config);
        var random = new RandomStream(seed);
        var tensors = new List<SafetensorsTensor>();
        foreach (LogicalParameter parameter in names.Encoder.Concat(names.Heads.Where(head => head.Name.StartsWith("cls.predictions.", StringComparison.Ordinal) && head.Name != "cls.predictions.decoder.weight")))
            tensors.Add(SafetensorsTensor.Of(TrainableModel.StoredName(parameter.Name), [.. parameter.Shape], Initial(parameter.Name, parameter.Shape, config, ref random)));
        SafetensorsWriter.Write(Path.Combine(directory, "model.safetensors"), tensors, TrainableModel.Metadata);
    }

    private static float[] Initial(string name, IReadOnlyList<long> shape, EncoderConfig config, ref RandomStream random)
    {
        var numbers = new float[shape.Aggregate(1L, (product, size) => product * size)];
        if (shape.Count == 1)
        {
            if (name.EndsWith("LayerNorm.weight", StringComparison.Ordinal)) Array.Fill(numbers, 1f);
            return numbers;
        }
        if (name.EndsWith("position_embeddings.weight", StringComparison.Ordinal))
        {
            Sinusoids(numbers, config.HiddenSize);
            return numbers;
        }
        double deviation = name switch
        {
            _ when name.EndsWith("word_embeddings.weight", StringComparison.Ordinal) => WordDeviation,
            _ when name.EndsWith("token_type_embeddings.weight", StringComparison.Ordinal) => SegmentDeviation,
            _ when name.EndsWith("query.weight", StringComparison.Ordinal) || name.EndsWith("key.weight", StringComparison.Ordinal) => QueryKeyDeviation,
            // Maps into the residual start smaller the more layers add to it (Radford et al. 2019).
            _ when name.EndsWith("output.dense.weight", StringComparison.Ordinal) => MapDeviation / Math.Sqrt(config.Layers),
            _ => MapDeviation,
        };
        for (int i = 0; i < numbers.Length; i++) numbers[i] = (float)(deviation * random.NextNormal());
        return numbers;
    }

    /// <summary>Feature 2i of position p is sin(p·10000^(−2i/C)), feature 2i + 1 its cosine, at the deviation of the words times a strength.</summary>
    private static void Sinusoids(float[] table, int features)
    {
        for (int at = 0; at < table.Length; at++)
        {
            int position = at / features, feature = at % features;
            double angle = position * Math.Pow(10_000, -2.0 * (feature / 2) / features);
            table[at] = (float)(PositionStrength * WordDeviation * Math.Sqrt(2) * (feature % 2 == 0 ? Math.Sin(angle) : Math.Cos(angle)));
        }
    }

    private static void WriteConfig(string directory, int vocabulary, ModelShape shape) => WriteJson(Path.Combine(directory, "config.json"), json =>
    {
        json.WriteStartArray("architectures");
        json.WriteStringValue("BertForMaskedLM");
        json.WriteEndArray();
        json.WriteString("model_type", "bert");
        json.WriteNumber("vocab_size", vocabulary);
        json.WriteNumber("hidden_size", shape.Hidden);
        json.WriteNumber("num_hidden_layers", shape.Layers);
        json.WriteNumber("num_attention_heads", shape.Heads);
        json.WriteNumber("intermediate_size", shape.Intermediate);
        json.WriteString("hidden_act", "gelu");
        json.WriteNumber("hidden_dropout_prob", 0);
        json.WriteNumber("attention_probs_dropout_prob", 0);
        json.WriteNumber("max_position_embeddings", shape.Positions);
        json.WriteNumber("type_vocab_size", 2);
        json.WriteNumber("initializer_range", 0.02);
        json.WriteNumber("layer_norm_eps", 1e-12);
        json.WriteNumber("pad_token_id", 0);
        json.WriteString("position_embedding_type", "absolute");
        json.WriteString("torch_dtype", "float32");
    });

    private static void WriteJson(string path, Action<Utf8JsonWriter> write)
    {
        using FileStream file = File.Create(path);
        using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        write(json);
        json.WriteEndObject();
    }
}
