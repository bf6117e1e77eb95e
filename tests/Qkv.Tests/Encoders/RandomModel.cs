using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Tests.Kernels;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>
/// A model of random parameters whose sizes fit no vector and no tile: 60 features, 4 heads of 15, 100 between the maps. Long
/// enough for several tiles of keys.
/// </summary>
internal sealed class RandomModel : IDisposable
{
    public const int MaxPositions = 600, Vocabulary = 50;

    private const string Config = """
        {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 60, "num_attention_heads": 4, "num_hidden_layers": 2,
         "intermediate_size": 100, "vocab_size": 50, "max_position_embeddings": 600, "type_vocab_size": 2, "hidden_act": "gelu"}
        """;

    private readonly TemporaryDirectory _directory = new();

    /// <param name="damage">The parameter whose last number is something else, and what.</param>
    public RandomModel((string Name, float Number)? damage = null)
    {
        _directory.Write("config.json", Config);
        var random = new Random(60);
        ParameterNames names = ParameterNames.For(EncoderConfig.Load(_directory.Path));
        SafetensorsWriter.Write(_directory.File("model.safetensors"), names.Encoder.Select(parameter =>
        {
            float[] numbers = RandomNumbers.Normal(random, (int)parameter.Shape.Aggregate((a, b) => a * b), 0.3);
            if (damage is { } other && other.Name == parameter.Name) numbers[^1] = other.Number;
            return SafetensorsTensor.Of(parameter.Name, parameter.Shape, numbers);
        }));
    }

    public Model Load(int threads, Precision precision = Precision.Float32) => Model.Load(_directory.Path, threads, precision);

    /// <summary>A sequence, some of its tokens hidden where <paramref name="holes"/> says so.</summary>
    public static void Add(TokenBatch batch, int length, int seed, bool holes = false)
    {
        var random = new Random(seed);
        int[] ids = [.. Enumerable.Range(0, length).Select(_ => random.Next(Vocabulary))], types = [.. ids.Select(_ => random.Next(2))];
        int[] mask = [.. ids.Select((_, i) => holes && i + 1 < length && random.Next(4) == 0 ? 0 : 1)];
        batch.Add(ids, types, attentionMask: mask);
    }

    public void Dispose() => _directory.Dispose();
}
