using System.Globalization;
using System.Runtime.InteropServices;
using Qkv.Parameters;

namespace Qkv.Bench.Peers;

/// <summary>
/// One encoder with the same seeded random parameters for both engines: a Hugging Face directory for Qkv, and the file of external
/// data that the ONNX graphs refer to. Written into a temporary directory, which is deleted with this object.
/// </summary>
internal sealed class PeerModel : IDisposable
{
    public static readonly PeerModel[] All = [new("bert-base", 768, 12), new("minilm-l6", 384, 6)];

    private const int Vocabulary = 30_522, MaxPositions = 512, Heads = 12;

    private readonly int _layers;
    private readonly HashSet<string> _written = [];
    private DirectoryInfo? _directory;

    private PeerModel(string name, int hidden, int layers) => (Name, Hidden, _layers) = (name, hidden, layers);

    public string Name { get; }

    /// <summary>C</summary>
    public int Hidden { get; }

    /// <summary>Where the graphs are, and the other small files of this benchmark.</summary>
    public static string Data(string file) => Path.Combine(AppContext.BaseDirectory, "Peers", "Graphs", file);

    /// <summary>Token ids of one sequence of <paramref name="length"/>.</summary>
    public static int[] Sequence(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(Vocabulary))];
    }

    /// <summary>The directory that Qkv loads.</summary>
    public string Directory()
    {
        string directory = Home();
        if (!_written.Add(directory)) return directory;
        File.WriteAllText(Path.Combine(directory, "config.json"), $$"""
            {
              "model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu", "layer_norm_eps": 1e-12,
              "hidden_size": {{Hidden}}, "num_hidden_layers": {{_layers}}, "num_attention_heads": {{Heads}}, "intermediate_size": {{4 * Hidden}},
              "vocab_size": {{Vocabulary}}, "max_position_embeddings": {{MaxPositions}}, "type_vocab_size": 2, "pad_token_id": 0
            }
            """);
        SafetensorsWriter.Write(Path.Combine(directory, "model.safetensors"), Initializers("f32").Select(each =>
            new SafetensorsTensor(each.Tensor, ElementType.F32, [.. each.TensorShape], stream => stream.Write(MemoryMarshal.AsBytes<float>(each.Numbers())))));
        return directory;
    }

    /// <summary>The graph of that precision (<c>f32</c> or <c>int8</c>), with its parameters beside it.</summary>
    public string Graph(string precision)
    {
        string file = $"{Name}.{precision}.onnx", path = Path.Combine(Home(), file);
        if (!_written.Add(path)) return path;
        File.Copy(Data(file), path);
        using FileStream data = File.Create(Path.ChangeExtension(path, ".bin"));
        foreach (Initializer each in Initializers(precision))
        {
            data.Position = each.Offset;
            data.Write(each.Stored());
            if (data.Position != each.Offset + each.Bytes) throw new InvalidDataException($"{file}: {each.Name} takes {data.Position - each.Offset} bytes, but its table says {each.Bytes}.");
        }
        return path;
    }

    public void Dispose()
    {
        _directory?.Delete(recursive: true);
        _directory = null;
        _written.Clear();
    }

    private string Home() => (_directory ??= System.IO.Directory.CreateTempSubdirectory("qkv-peers-")).FullName;

    private IEnumerable<Initializer> Initializers(string precision)
    {
        foreach (string line in File.ReadLines(Data($"{Name}.{precision}.tsv")).Skip(1))
        {
            string[] fields = line.Split('\t');
            yield return new Initializer(fields[0], fields[1], fields[2] == "transpose", fields[3], [.. fields[4].Split('x').Select(Number)], Number(fields[5]), Number(fields[6]));
        }

        static long Number(string field) => long.Parse(field, CultureInfo.InvariantCulture);
    }

    /// <summary>A row of a graph's table: which tensor of a checkpoint lies where in the external data.</summary>
    private sealed record Initializer(string Name, string Tensor, bool Transposed, string Type, long[] Shape, long Offset, long Bytes)
    {
        public IEnumerable<long> TensorShape => Transposed ? Shape.Reverse() : Shape;

        /// <summary>
        /// The tensor as a checkpoint stores it, the same in every call: uniform with the variance of BERT's initialisation, around
        /// one for the scale of a LayerNorm.
        /// </summary>
        public float[] Numbers()
        {
            var random = new Random((int)(Offset / 4096));
            float centre = Name.EndsWith("LayerNorm.weight", StringComparison.Ordinal) ? 1f : 0f;
            var numbers = new float[Shape.Aggregate(1L, (product, size) => product * size)];
            for (int i = 0; i < numbers.Length; i++) numbers[i] = centre + (2f * random.NextSingle() - 1f) * 0.035f;
            return numbers;
        }

        public byte[] Stored()
        {
            if (Type == "F32") return MemoryMarshal.AsBytes<float>(Transposed ? Transpose(Numbers()) : Numbers()).ToArray();
            // Quantised numbers have no counterpart in a checkpoint; the graph has their scales.
            var bytes = new byte[Bytes];
            new Random((int)(Offset / 4096)).NextBytes(bytes);
            return bytes;
        }

        private float[] Transpose(float[] tensor) // (columns, rows) → (rows, columns)
        {
            int rows = (int)Shape[0], columns = (int)Shape[1];
            var result = new float[tensor.Length];
            for (int row = 0; row < rows; row++)
                for (int column = 0; column < columns; column++) result[row * columns + column] = tensor[column * rows + row];
            return result;
        }
    }
}
