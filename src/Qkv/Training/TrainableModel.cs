using Qkv.Encoders;
using Qkv.Parameters;

namespace Qkv.Training;

/// <summary>A model whose parameters learn: the encoder, its heads, and every learned tensor.</summary>
internal sealed class TrainableModel
{
    public TrainableModel(string directory, int threads)
    {
        Config = EncoderConfig.Load(directory);
        using ParameterFile file = ParameterFile.OpenDirectory(directory);
        var reader = new ModelReader(ParameterSet.Resolve(file, Config), train: true);
        (Encoder, Heads) = reader.Read(threads);
        Parameters = [.. reader.Learned];
    }

    public EncoderConfig Config { get; }

    public Encoder Encoder { get; }

    public TaskHeads Heads { get; }

    public IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>The parameters that a step changes: those that are not frozen.</summary>
    public IEnumerable<Parameter> Learning => Parameters.Where(parameter => !parameter.IsFrozen);

    /// <summary>What the forward pass of a batch that is learned drops.</summary>
    public DropoutPlan Dropout { get; set; }

    /// <summary>Writes the parameters as a checkpoint of the family, under its names; the file is replaced in one piece.</summary>
    public void Save(string path) => SafetensorsWriter.Write(path, Parameters.Select(parameter => Stored(parameter, parameter.Value)), Metadata);

    internal static SafetensorsTensor Stored(Parameter parameter, Kernels.AlignedBuffer numbers, string prefix = "") => new(
        prefix + StoredName(parameter.Name), ElementType.F32, parameter.Shape,
        stream => SafetensorsTensor.WriteElements<float>(stream, numbers.Span));

    // Task heads have no prefix; what belongs to the bare encoder has the family's.
    internal static string StoredName(string name) =>
        name.StartsWith("embeddings.", StringComparison.Ordinal) || name.StartsWith("encoder.", StringComparison.Ordinal) || name.StartsWith("pooler.", StringComparison.Ordinal)
            ? "bert." + name
            : name;

    // transformers refuses a file without it.
    internal static readonly IReadOnlyDictionary<string, string> Metadata = new Dictionary<string, string> { ["format"] = "pt" };

    /// <summary>0 for embeddings, i + 1 for layer i, and one more for the heads.</summary>
    public int DepthOf(Parameter parameter)
    {
        const string layer = "encoder.layer.";
        if (parameter.Name.StartsWith("embeddings.", StringComparison.Ordinal)) return 0;
        if (!parameter.Name.StartsWith(layer, StringComparison.Ordinal)) return Config.Layers + 1;
        return 1 + int.Parse(parameter.Name.AsSpan(layer.Length, parameter.Name.IndexOf('.', layer.Length) - layer.Length), System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Freezes what lies less deep: with 1 the embeddings, with i + 1 also the layers below layer i.</summary>
    public void Freeze(int depth)
    {
        foreach (Parameter parameter in Parameters) parameter.IsFrozen = DepthOf(parameter) < depth;
    }

    /// <summary>Packs everything again after a step.</summary>
    public void Refresh()
    {
        Encoder.Refresh();
        Heads.Refresh();
    }
}
