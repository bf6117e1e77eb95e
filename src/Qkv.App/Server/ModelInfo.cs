using System.Reflection;
using System.Text.Json;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;

namespace Qkv.App.Server;

/// <summary>The answer of <c>GET /info</c>: the sizes and abilities of the model.</summary>
internal static class ModelInfo
{
    public static void Write(Utf8JsonWriter json, TextEncoder encoder, string model)
    {
        EncoderConfig config = encoder.Config;
        json.WriteStartObject();
        json.WriteString("model", model);
        json.WriteString("family", config.ModelType);
        json.WriteNumber("layers", config.Layers);
        json.WriteNumber("heads", config.Heads);
        json.WriteNumber("hidden_size", config.HiddenSize);
        json.WriteNumber("head_size", config.HeadSize);
        json.WriteNumber("intermediate_size", config.IntermediateSize);
        json.WriteNumber("vocabulary_size", config.VocabularySize);
        json.WriteNumber("max_tokens", encoder.MaxTokens);
        json.WriteNumber("segments", config.TypeVocabularySize);
        json.WriteString("activation", config.Activation);
        json.WriteNumber("layer_norm_epsilon", config.LayerNormEpsilon);
        json.WriteStartArray("tasks");
        foreach (string task in Tasks(encoder.Model.Heads)) json.WriteStringValue(task);
        json.WriteEndArray();
        json.WriteStartObject("special_tokens");
        foreach (string token in encoder.Tokenizer.SpecialTokens) json.WriteString(token.Trim('[', ']', '<', '>').ToLowerInvariant(), token);
        json.WriteEndObject();
        json.WriteString("precision", encoder.Model.Precision.ToString().ToLowerInvariant());
        json.WriteNumber("threads", encoder.Model.Encoder.Threads);
        json.WriteNumber("simd", (int)SimdSupport.Vectors);
        json.WriteString("version", typeof(ModelInfo).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion);
        json.WriteEndObject();
    }

    private static IEnumerable<string> Tasks(TaskHeads heads)
    {
        yield return "embed";
        if (heads.MaskedLanguage != null) yield return "fill-mask";
        if (heads.Classifier != null && heads.Pooler != null && heads.ClassifierKind == ClassifierKind.Sequence) yield return "classify";
        if (heads.Classifier != null && heads.ClassifierKind == ClassifierKind.Token) yield return "ner";
        if (heads.Span != null) yield return "answer";
    }

    /// <summary>A shape as a member of the object that is being written.</summary>
    public static void WriteShape(this Utf8JsonWriter json, IEnumerable<long> shape)
    {
        json.WriteStartArray("shape"u8);
        foreach (long size in shape) json.WriteNumberValue(size);
        json.WriteEndArray();
    }
}
