using System.Text.Json;
using Qkv.Encoders;
using Qkv.Parameters;

namespace Qkv.Training;

/// <summary>
/// A Hugging Face directory of a classifier that starts from an encoder: the encoder's parameters as they are, its other heads left
/// out, and a new head with random parameters.
/// </summary>
internal static class TaskModel
{
    // As BERT's own new heads (initializer_range): answers start nearly even.
    private const double ClassifierDeviation = 0.02;

    /// <summary>Files of a tokenizer, as far as a directory has them.</summary>
    public static readonly string[] TokenizerFiles = ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

    /// <summary>Writes config.json, model.safetensors and the tokenizer's files.</summary>
    /// <param name="source">A directory with any model of the family.</param>
    /// <param name="target">A directory that exists and is empty.</param>
    /// <param name="kind">Whether a label is of a text or of a token.</param>
    /// <param name="labels">The labels by their number.</param>
    /// <param name="problem">The problem type, where the label is of a text.</param>
    /// <param name="seed">Where the random numbers start.</param>
    /// <exception cref="InvalidDataException">The source is damaged.</exception>
    public static void Write(string source, string target, ClassifierKind kind, IReadOnlyList<string> labels, string? problem, ulong seed)
    {
        bool pools = kind == ClassifierKind.Sequence;
        var model = new TrainableModel(source, 1);
        CopyTokenizer(source, target);
        WriteClassifierConfig(source, target, pools ? "BertForSequenceClassification" : "BertForTokenClassification", labels, problem);

        int c = model.Config.HiddenSize;
        var random = new RandomStream(seed);
        List<SafetensorsTensor> tensors = [.. model.Parameters.Where(parameter => Kept(parameter.Name, pools)).Select(parameter => TrainableModel.Stored(parameter, parameter.Value))];
        // 1/√C keeps the size of what passes through the pooler.
        if (pools && model.Heads.Pooler == null) AddLinear(tensors, "pooler.dense", c, c, 1 / Math.Sqrt(c), ref random);
        AddLinear(tensors, "classifier", labels.Count, c, ClassifierDeviation, ref random);
        SafetensorsWriter.Write(Path.Combine(target, "model.safetensors"), tensors, TrainableModel.Metadata);
        GC.KeepAlive(model);
    }

    /// <summary>Writes a model with all its heads as it is, ready to learn: its parameters become float32.</summary>
    /// <exception cref="InvalidDataException">The source is damaged.</exception>
    public static void Copy(string source, string target)
    {
        var model = new TrainableModel(source, 1);
        CopyTokenizer(source, target);
        WriteConfig(source, target, ["torch_dtype", "dtype"], _ => { });
        model.Save(Path.Combine(target, "model.safetensors"));
    }

    /// <summary>Writes a model with all its heads, and sentence-transformers' files, so that it embeds.</summary>
    /// <exception cref="InvalidDataException">The source is damaged.</exception>
    public static void WriteEmbedder(string source, string target, Pooling pooling, int maxTokens)
    {
        const string prompts = "config_sentence_transformers.json";
        Copy(source, target);
        if (File.Exists(Path.Combine(source, prompts))) File.Copy(Path.Combine(source, prompts), Path.Combine(target, prompts));
        EmbeddingRecipe.Write(target, pooling, EncoderConfig.Load(source).HiddenSize, maxTokens);
    }

    /// <summary>Writes a model with everything that belongs to it, its floating-point parameters in another type; a sentence-transformers directory stays one.</summary>
    /// <param name="source">The directory of the model.</param>
    /// <param name="target">A directory that exists and is empty.</param>
    /// <param name="type">F32, F16 or BF16; numbers are rounded to the nearest, ties to even.</param>
    /// <exception cref="InvalidDataException">The source is damaged, or a number is too large for the type; names the tensor.</exception>
    public static void Store(string source, string target, ElementType type)
    {
        using ParameterFile file = ParameterFile.OpenDirectory(source);
        SafetensorsWriter.Write(Path.Combine(target, "model.safetensors"), file.Parameters.Values.Select(parameter => Stored(file, parameter, type)), TrainableModel.Metadata);
        CopyTokenizer(source, target);
        WriteConfig(source, target, ["torch_dtype", "dtype"], _ => { }, type switch { ElementType.F16 => "float16", ElementType.BF16 => "bfloat16", _ => "float32" });
        foreach (string name in (string[])["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"])
            if (File.Exists(Path.Combine(source, name))) File.Copy(Path.Combine(source, name), Path.Combine(target, name));
        // 1_Pooling, 2_Dense, …: the modules after the encoder, with parameters of their own.
        foreach (string module in Directory.GetDirectories(source, "?_*"))
        {
            string copy = Path.Combine(target, Path.GetFileName(module));
            Directory.CreateDirectory(copy);
            foreach (string path in Directory.GetFiles(module)) File.Copy(path, Path.Combine(copy, Path.GetFileName(path)));
        }
    }

    private static SafetensorsTensor Stored(ParameterFile file, ParameterInfo parameter, ElementType type)
    {
        if (parameter.Type is not (ElementType.F64 or ElementType.F32 or ElementType.F16 or ElementType.BF16) || parameter.Type == type)
        {
            return new SafetensorsTensor(parameter.Name, parameter.Type, parameter.Shape, stream =>
            {
                var bytes = new byte[parameter.Count * parameter.Type.Size()];
                file.ReadBytes(parameter.Name, 0, bytes);
                stream.Write(bytes);
            });
        }
        return new SafetensorsTensor(parameter.Name, type, parameter.Shape, stream =>
        {
            var numbers = new float[parameter.Count];
            file.Read(parameter.Name, 0, numbers);
            if (type == ElementType.F32)
            {
                SafetensorsTensor.WriteElements<float>(stream, numbers);
                return;
            }
            var halves = new ushort[numbers.Length];
            for (int i = 0; i < numbers.Length; i++)
            {
                halves[i] = type == ElementType.F16 ? BitConverter.HalfToUInt16Bits((Half)numbers[i]) : Kernels.BFloat16.Round(numbers[i]);
                if (type == ElementType.F16 && float.IsFinite(numbers[i]) && Half.IsInfinity((Half)numbers[i]))
                    throw new InvalidDataException($"{file.Path}: tensor {parameter.Name} holds {numbers[i]}, which float16 cannot; store it as bfloat16.");
            }
            SafetensorsTensor.WriteElements<ushort>(stream, halves);
        });
    }

    private static void CopyTokenizer(string source, string target)
    {
        foreach (string name in TokenizerFiles)
            if (File.Exists(Path.Combine(source, name))) File.Copy(Path.Combine(source, name), Path.Combine(target, name));
    }

    private static bool Kept(string name, bool pools) =>
        name.StartsWith("embeddings.", StringComparison.Ordinal) || name.StartsWith("encoder.", StringComparison.Ordinal) || (pools && name.StartsWith("pooler.", StringComparison.Ordinal));

    private static void AddLinear(List<SafetensorsTensor> tensors, string name, int outputs, int inputs, double deviation, ref RandomStream random)
    {
        var weight = new float[outputs * inputs];
        for (int i = 0; i < weight.Length; i++) weight[i] = (float)(deviation * random.NextNormal());
        tensors.Add(SafetensorsTensor.Of(TrainableModel.StoredName(name + ".weight"), [outputs, inputs], weight));
        tensors.Add(SafetensorsTensor.Of(TrainableModel.StoredName(name + ".bias"), [outputs], new float[outputs]));
    }

    private static void WriteClassifierConfig(string source, string target, string architecture, IReadOnlyList<string> labels, string? problem) =>
        WriteConfig(source, target, ["architectures", "id2label", "label2id", "num_labels", "problem_type", "torch_dtype", "dtype"], json =>
        {
            json.WriteStartArray("architectures");
            json.WriteStringValue(architecture);
            json.WriteEndArray();
            json.WriteStartObject("id2label");
            for (int i = 0; i < labels.Count; i++) json.WriteString(i.ToString(System.Globalization.CultureInfo.InvariantCulture), labels[i]);
            json.WriteEndObject();
            json.WriteStartObject("label2id");
            for (int i = 0; i < labels.Count; i++) json.WriteNumber(labels[i], i);
            json.WriteEndObject();
            if (problem != null) json.WriteString("problem_type", problem);
        });

    /// <summary>The source's config.json without some fields and with others, and the type that parameters are stored in.</summary>
    private static void WriteConfig(string source, string target, HashSet<string> replaced, Action<Utf8JsonWriter> write, string type = "float32")
    {
        using JsonDocument config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(source, "config.json")));
        using FileStream file = File.Create(Path.Combine(target, "config.json"));
        using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        foreach (JsonProperty field in config.RootElement.EnumerateObject().Where(field => !replaced.Contains(field.Name))) field.WriteTo(json);
        write(json);
        json.WriteString("torch_dtype", type);
        json.WriteEndObject();
    }
}
