using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Bench;

/// <summary>An encoder of BERT-base's shape with random parameters: speed does not depend on what was learned.</summary>
internal static class RandomEncoder
{
    private const int Vocabulary = 1000;

    public static readonly EncoderConfig Base = new()
    {
        ModelType = "bert",
        Architectures = [],
        VocabularySize = Vocabulary,
        HiddenSize = 768,
        Layers = 12,
        Heads = 12,
        IntermediateSize = 3072,
        Activation = "gelu",
        MaxPositions = 512,
        TypeVocabularySize = 2,
        LayerNormEpsilon = 1e-12,
        PadTokenId = 0,
        Labels = null,
        NumLabels = 2,
        ProblemType = null,
        PositionEmbeddingType = "absolute",
        TieWordEmbeddings = true,
        TorchDtype = null,
    };

    /// <summary>Its layers' parameters lie apart in memory, as those of a real one do.</summary>
    public static Encoder Create(EncoderConfig config, int threads, Precision precision = Precision.Float32)
    {
        int features = config.HiddenSize, intermediate = config.IntermediateSize;
        float[] ones = [.. Enumerable.Repeat(1f, features)], zeros = new float[features];
        var norm = new Normalization(ones, zeros, config.LayerNormEpsilon);
        var layers = new EncoderLayer[config.Layers];
        for (int i = 0; i < layers.Length; i++)
            layers[i] = new EncoderLayer(new SelfAttention(Map(3, features, features, precision), config.Heads), Map(1, features, features, precision), norm,
                new FeedForward(Map(1, features, intermediate, precision), Map(1, intermediate, features, precision), ActivationFunctions.Parse(config.Activation)), norm);
        var embedding = new TokenEmbedding(Table(config.VocabularySize, features), Table(config.MaxPositions, features), Table(config.TypeVocabularySize, features), norm);
        return new Encoder(config, embedding, layers, threads);
    }

    /// <summary>A model to train, with a vocabulary that means nothing.</summary>
    public static (TrainableModel Model, Tokenizer Tokenizer) Trainable(ModelShape shape, int vocabulary, int threads)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("qkv-bench-");
        try
        {
            string words = Path.Combine(directory.FullName, "words.txt"), model = directory.CreateSubdirectory("model").FullName;
            File.WriteAllLines(words, new[] { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" }.Concat(Enumerable.Range(5, vocabulary - 5).Select(i => $"w{i}")));
            NewModel.Write(model, words, shape, seed: 1);
            return (new TrainableModel(model, threads), Tokenizer.Load(model));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary><paramref name="sequences"/> sequences of <paramref name="length"/> random tokens.</summary>
    public static TokenBatch Batch(int sequences, int length)
    {
        var random = new Random(sequences);
        var batch = new TokenBatch();
        for (int sequence = 0; sequence < sequences; sequence++)
            batch.Add([.. Enumerable.Range(0, length).Select(_ => random.Next(Vocabulary))]);
        return batch;
    }

    /// <summary>A linear map, or several joined, of parameters as BERT initialises them (near enough: uniform, not normal).</summary>
    public static Linear Map(int maps, int inputs, int outputs, Precision precision = Precision.Float32)
    {
        var matrix = new PackedMatrix(maps, outputs, inputs, precision);
        float[] w = Numbers(inputs * outputs, 0.035f), bias = Numbers(outputs, 0.035f);
        for (int map = 0; map < maps; map++) matrix.Set(map, w, bias);
        return new Linear(matrix);
    }

    /// <summary>Hidden states (rows, columns) to compute with.</summary>
    public static AlignedBuffer Rows(int rows, int columns, float range = 1f)
    {
        var buffer = new AlignedBuffer((long)rows * columns);
        Numbers(buffer.Length, range).CopyTo(buffer.Span);
        return buffer;
    }

    /// <summary>Uniform numbers between −<paramref name="range"/> and <paramref name="range"/>.</summary>
    public static float[] Numbers(int count, float range = 1f)
    {
        var random = new Random(count);
        var numbers = new float[count];
        for (int i = 0; i < count; i++) numbers[i] = (2f * random.NextSingle() - 1f) * range;
        return numbers;
    }

    private static EmbeddingTable Table(int rows, int columns)
    {
        var table = new EmbeddingTable(rows, columns, NumberFormat.Float32);
        System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(Numbers(rows * columns, 0.035f)).CopyTo(table.Bytes);
        return table;
    }
}
