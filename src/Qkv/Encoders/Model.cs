using System.Runtime.ExceptionServices;
using Qkv.Kernels;
using Qkv.Parameters;

namespace Qkv.Encoders;

/// <summary>
/// An encoder with its task heads, read from a Hugging Face directory. Parameters are prepared once: what is multiplied is packed
/// for the register tile (Q, K and V as one matrix), what is looked up stays as it is stored, and the file is closed. Immutable.
/// </summary>
internal sealed class Model
{
    private readonly IEnumerable<ParameterInfo> _stored; // What is said of them is found out when it is asked for: a start waits for none of it.

    private Model(EncoderConfig config, Encoder encoder, TaskHeads heads, ParameterSet parameters)
    {
        (Config, Encoder, Heads) = (config, encoder, heads);
        (ParameterPath, Ignored) = (parameters.File.Path, parameters.Ignored);
        _stored = parameters.File.Parameters.Values;
    }

    public EncoderConfig Config { get; }

    public Encoder Encoder { get; }

    public TaskHeads Heads { get; }

    /// <summary>The file that the parameters came from.</summary>
    public string ParameterPath { get; }

    public long ParameterCount => _stored.Sum(parameter => parameter.Count);

    /// <summary>The types that the file stores its tensors in.</summary>
    public IEnumerable<ElementType> Types => _stored.Select(parameter => parameter.Type).Distinct().Order();

    /// <summary>Tensors of the file that nothing uses.</summary>
    public IReadOnlyList<string> Ignored { get; }

    /// <summary>Bytes of parameters held in memory.</summary>
    public long Size { get; private init; }

    /// <summary>How linear maps are held.</summary>
    public Precision Precision { get; private init; }

    /// <param name="directory">A Hugging Face directory.</param>
    /// <param name="threads">Threads of the team that a forward pass may use.</param>
    /// <param name="precision">How linear maps are held.</param>
    /// <param name="quantized">The maps of the layers that are held as int8 where that is the precision; the others are float32.</param>
    /// <exception cref="InvalidDataException">A file is damaged or asks for something that is not supported.</exception>
    public static Model Load(string directory, int threads, Precision precision = Precision.Float32, LayerMaps quantized = LayerMaps.All)
    {
        EncoderConfig config = EncoderConfig.Load(directory);
        _ = Task.Run(() => Encoder.Compile(precision));
        using ParameterFile file = ParameterFile.OpenDirectory(directory);
        ParameterSet parameters = ParameterSet.Resolve(file, config);
        var reader = new ModelReader(parameters, precision, quantized);
        (Encoder encoder, TaskHeads heads) = reader.Read(threads);
        return new Model(config, encoder, heads, parameters) { Size = reader.Size, Precision = precision };
    }
}

/// <summary>
/// Reads and packs the parameters of each part, by the names of the family. To train, each tensor is kept as a
/// <see cref="Parameter"/> as well.
/// </summary>
internal sealed class ModelReader(ParameterSet parameters, Precision precision = Precision.Float32, LayerMaps quantized = LayerMaps.All, bool train = false)
{
    private const int BytesPerPiece = 1 << 20;

    private static readonly ParallelOptions s_reading = new() { MaxDegreeOfParallelism = Workers.Limit };

    private readonly EncoderConfig _config = parameters.Config;
    private readonly Dictionary<string, Parameter> _learned = [];

    // What is left to read while everything is being put together: pieces of large tensors, which all processors then read at once, each into a buffer of its own.
    private readonly List<Action<float[]>> _pieces = [];
    private int _buffer;

    /// <summary>What is trained, in the order of reading; empty unless asked for.</summary>
    public IReadOnlyCollection<Parameter> Learned => _learned.Values;

    /// <summary>Bytes of parameters held.</summary>
    public long Size { get; private set; }

    public (Encoder Encoder, TaskHeads Heads) Read(int threads)
    {
        Encoder encoder = ReadEncoder(threads);
        TaskHeads heads = ReadHeads(encoder.Embedding.Words);
        try
        {
            Parallel.ForEach(_pieces, s_reading, () => new float[_buffer], (piece, _, buffer) =>
            {
                piece(buffer);
                return buffer;
            }, _ => { });
        }
        catch (AggregateException several)
        {
            ExceptionDispatchInfo.Throw(several.InnerExceptions[0]);
        }
        return (encoder, heads);
    }

    private Encoder ReadEncoder(int threads)
    {
        const string words = "embeddings.word_embeddings.weight", positions = "embeddings.position_embeddings.weight", segments = "embeddings.token_type_embeddings.weight";
        var embedding = new TokenEmbedding(ReadTable(words), ReadTable(positions), ReadTable(segments), ReadNormalization("embeddings.LayerNorm"))
        {
            Learned = train ? (Learn(words), Learn(positions), Learn(segments)) : null,
        };
        var layers = new EncoderLayer[_config.Layers];
        for (int i = 0; i < layers.Length; i++) layers[i] = ReadLayer($"encoder.layer.{i}.");
        return new Encoder(_config, embedding, layers, threads);
    }

    private TaskHeads ReadHeads(EmbeddingTable words) => new()
    {
        Pooler = ReadHead("pooler.dense"),
        MaskedLanguage = parameters.Find("cls.predictions.transform.dense.weight") == null ? null : ReadMaskedLanguage(words),
        NextSentence = ReadHead("cls.seq_relationship"),
        Classifier = ReadHead("classifier"),
        ClassifierKind = TaskHeads.KindOf(_config),
        Span = ReadHead("qa_outputs"),
    };

    private EncoderLayer ReadLayer(string layer) => new(
        new SelfAttention(ReadLinear(Held(LayerMaps.QueriesKeysValues), layer + "attention.self.query", layer + "attention.self.key", layer + "attention.self.value"), _config.Heads),
        ReadLinear(Held(LayerMaps.Projection), layer + "attention.output.dense"),
        ReadNormalization(layer + "attention.output.LayerNorm"),
        new FeedForward(ReadLinear(Held(LayerMaps.Intermediate), layer + "intermediate.dense"), ReadLinear(Held(LayerMaps.Output), layer + "output.dense"), ActivationFunctions.Parse(_config.Activation)),
        ReadNormalization(layer + "output.LayerNorm"));

    private MaskedLanguageHead ReadMaskedLanguage(EmbeddingTable words)
    {
        ParameterInfo decoder = parameters.Require("cls.predictions.decoder.weight");
        bool tied = decoder.Name == parameters.Require("embeddings.word_embeddings.weight").Name || _config.TieWordEmbeddings;
        PackedMatrix matrix = tied ? PackedMatrix.Tied(words) : ReadMatrix(["cls.predictions.decoder.weight"], Held(LayerMaps.None));
        matrix.SetBias(0, ReadAll("cls.predictions.bias"));
        var linear = new Linear(matrix)
        {
            Learned = train ? [(Learn(tied ? "embeddings.word_embeddings.weight" : "cls.predictions.decoder.weight"), Learn("cls.predictions.bias"))] : [],
        };
        return new MaskedLanguageHead(ReadLinear(Held(LayerMaps.None), "cls.predictions.transform.dense"), ActivationFunctions.Parse(_config.Activation),
            ReadNormalization("cls.predictions.transform.LayerNorm"), linear);
    }

    private Linear? ReadHead(string name) => parameters.Find(name + ".weight") == null ? null : ReadLinear(Held(LayerMaps.None), name);

    /// <summary>How a kind of map is held; none stands for the task heads, which are small and last, and never int8.</summary>
    private Precision Held(LayerMaps map) => precision == Precision.Int8 && (quantized & map) == 0 ? Precision.Float32 : precision;

    /// <summary>One linear map, or several of the same shape and input joined.</summary>
    private Linear ReadLinear(Precision held, params ReadOnlySpan<string> names)
    {
        (Parameter, Parameter)[] learned = train ? [.. names.ToArray().Select(name => (Learn(name + ".weight"), Learn(name + ".bias")))] : [];
        PackedMatrix matrix = ReadMatrix([.. names.ToArray().Select(name => name + ".weight")], held);
        for (int map = 0; map < names.Length; map++) matrix.SetBias(map, ReadAll(names[map] + ".bias"));
        return new Linear(matrix) { Learned = learned };
    }

    private PackedMatrix ReadMatrix(string[] names, Precision held)
    {
        ParameterInfo first = parameters.Require(names[0]);
        int columns = (int)first.Shape[0], inner = (int)first.Shape[1];
        var matrix = new PackedMatrix(names.Length, columns, inner, held);
        if (train)
            foreach (string name in names) Learn(name);
        // A panel at a time: what is held twice is a panel each.
        _buffer = Math.Max(_buffer, MatMulTile.PanelWidth * inner);
        for (int i = 0; i < names.Length * matrix.PanelsPerMap; i++)
        {
            int map = i / matrix.PanelsPerMap, panel = i % matrix.PanelsPerMap;
            _pieces.Add(buffer =>
            {
                int start = panel * MatMulTile.PanelWidth;
                Span<float> rows = buffer.AsSpan(0, Math.Min(MatMulTile.PanelWidth, columns - start) * inner);
                Read(names[map], (long)start * inner, rows);
                matrix.Populate(map, panel);
                matrix.SetPanel(map, panel, rows);
            });
        }
        Size += matrix.Size;
        return matrix;
    }

    private EmbeddingTable ReadTable(string name)
    {
        ParameterInfo info = parameters.Require(name);
        if (train) return new EmbeddingTable((int)info.Shape[0], (int)info.Shape[1], Learn(name).Value);
        NumberFormat format = info.Type switch
        {
            ElementType.F16 => NumberFormat.Float16,
            ElementType.BF16 => NumberFormat.BFloat16,
            _ => NumberFormat.Float32,
        };
        var table = new EmbeddingTable((int)info.Shape[0], (int)info.Shape[1], format);
        if (info.Type == ElementType.F64)
            parameters.Read(name, 0, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(table.Bytes));
        for (long i = 0; info.Type != ElementType.F64 && i < table.Size; i += BytesPerPiece)
        {
            int start = (int)i, count = (int)Math.Min(BytesPerPiece, table.Size - i);
            _pieces.Add(_ =>
            {
                AlignedBuffer.Populate(table.Bytes.Slice(start, count));
                parameters.ReadBytes(name, start / info.Type.Size(), table.Bytes.Slice(start, count));
            });
        }
        Size += table.Size;
        return table;
    }

    private Normalization ReadNormalization(string name) => new(ReadAll(name + ".weight"), ReadAll(name + ".bias"), _config.LayerNormEpsilon)
    {
        Learned = train ? (Learn(name + ".weight"), Learn(name + ".bias")) : null,
    };

    /// <summary>The parameter of that name, read when it is first asked for: tied maps share it.</summary>
    private Parameter Learn(string name)
    {
        if (_learned.TryGetValue(name, out Parameter? known)) return known;
        var parameter = new Parameter(name, [.. parameters.Require(name).Shape]);
        parameters.Read(name, 0, parameter.Value.Span);
        _learned.Add(name, parameter);
        return parameter;
    }

    private float[] ReadAll(string name)
    {
        var numbers = new float[parameters.Require(name).Count];
        Read(name, 0, numbers);
        return numbers;
    }

    /// <summary>A part of a tensor, from the file; to train, from the parameter that has been read there.</summary>
    private void Read(string name, long start, Span<float> numbers)
    {
        if (train) Learn(name).Value.Span.Slice((int)start, numbers.Length).CopyTo(numbers);
        else parameters.Read(name, start, numbers);
        // Every text goes through the encoder, where one NaN makes all results NaN. A head may be one that nobody uses, and its −∞ may rule something out.
        bool isEncoder = name.StartsWith("encoder.", StringComparison.Ordinal) || name.StartsWith("embeddings.", StringComparison.Ordinal);
        if (!isEncoder || Elementwise.AreFinite(numbers)) return;
        ParameterInfo stored = parameters.Require(name);
        BadFile.Throw(stored.File, stored.Name, "holds NaN or an infinity, and so would every result; get the file again, or save it from the original in a wider type.");
    }
}
