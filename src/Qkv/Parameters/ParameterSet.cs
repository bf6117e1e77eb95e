using System.Buffers;
using System.Collections.Concurrent;

namespace Qkv.Parameters;

/// <summary>
/// A model's parameters by their logical names: a file's tensors resolved against a family's name table and checked
/// against the configuration. A resolved set has every parameter of the encoder, in the shape the configuration gives.
/// </summary>
public sealed class ParameterSet
{
    private readonly Dictionary<string, LogicalParameter> _table;
    private readonly ConcurrentDictionary<string, ParameterInfo?> _found = [];

    private ParameterSet(ParameterFile file, EncoderConfig config, ParameterNames names)
    {
        File = file;
        Config = config;
        _table = names.Encoder.Concat(names.Heads).ToDictionary(parameter => parameter.Name);
        foreach (LogicalParameter parameter in names.Encoder)
        {
            if (Find(parameter.Name) is null)
            {
                BadFile.Throw(
                    file.Path,
                    parameter.Name,
                    $"is missing (looked for {string.Join(", ", parameter.StoredNames)}); " +
                    $"{config.ModelType} with {config.Layers} layers needs it.");
            }
        }

        HashSet<string> encoder = [.. names.Encoder.SelectMany(parameter => parameter.StoredNames)];
        HashSet<string> heads = [.. names.Heads.SelectMany(parameter => parameter.StoredNames.Concat(parameter.TiedTo))];
        if (file.Parameters.Keys.Where(names.IsInsideEncoder).FirstOrDefault(name => !encoder.Contains(name)) is { } unknown)
        {
            BadFile.Throw(
                file.Parameters[unknown].File,
                unknown,
                $"is none of {config.ModelType} with {config.Layers} layers; leaving it out would change every vector.");
        }

        heads.ExceptWith(encoder);
        Heads = Sorted(file.Parameters.Keys.Where(heads.Contains));
        Ignored = Sorted(file.Parameters.Keys.Except(heads).Except(encoder));

        static IReadOnlyList<string> Sorted(IEnumerable<string> names)
        {
            List<string> sorted = [.. names];
            sorted.Sort(StringComparer.Ordinal);
            return sorted.AsReadOnly();
        }
    }

    /// <summary>The file that the parameters are read from; it stays the caller's to dispose.</summary>
    public ParameterFile File { get; }

    /// <summary>The configuration they were checked against.</summary>
    public EncoderConfig Config { get; }

    /// <summary>The stored names of a pooler's and task heads' tensors: used only by the tasks that need them.</summary>
    public IReadOnlyList<string> Heads { get; }

    /// <summary>The stored names that nothing uses: buffers such as <c>position_ids</c>, and all that is outside the encoder and unknown.</summary>
    public IReadOnlyList<string> Ignored { get; }

    /// <summary>Resolves a file's tensors for a configuration.</summary>
    /// <exception cref="InvalidDataException">A tensor of the encoder is missing, misshapen, ambiguous, not of a floating-point type, or unknown.</exception>
    public static ParameterSet Resolve(ParameterFile file, EncoderConfig config) => new(file, config, ParameterNames.For(config));

    /// <summary>
    /// The stored tensor of a logical name, or null where the file has none; always there for the encoder's names. A
    /// head's tensors are checked here, so that a misshapen head hurts only the task that needs it.
    /// </summary>
    /// <exception cref="ArgumentException">The family has no such name.</exception>
    /// <exception cref="InvalidDataException">The tensor is misshapen, ambiguous or not of a floating-point type.</exception>
    public ParameterInfo? Find(string logicalName) => _found.GetOrAdd(logicalName, Lookup);

    /// <summary>The stored tensor of a logical name that must be there.</summary>
    /// <inheritdoc cref="Find" path="/exception"/>
    public ParameterInfo Require(string logicalName) =>
        Find(logicalName) ?? throw BadFile.Because(
            File.Path,
            logicalName,
            "is missing; the model was saved without the head that it belongs to.");

    /// <summary>Reads elements as <see cref="ParameterFile.Read"/> does, by logical name.</summary>
    public void Read(string logicalName, long start, Span<float> destination) =>
        File.Read(Require(logicalName).Name, start, destination);

    /// <summary>Reads stored elements as <see cref="ParameterFile.ReadBytes"/> does, by logical name.</summary>
    public void ReadBytes(string logicalName, long start, Span<byte> destination) =>
        File.ReadBytes(Require(logicalName).Name, start, destination);

    private ParameterInfo? Lookup(string logicalName)
    {
        if (!_table.TryGetValue(logicalName, out LogicalParameter? parameter))
        {
            throw new ArgumentException($"{Config.ModelType} has no parameter '{logicalName}'.", nameof(logicalName));
        }

        List<ParameterInfo> stored = Stored(parameter.StoredNames);
        if (stored.Count > 1)
        {
            BadFile.Throw(
                File.Path,
                $"tensors '{stored[0].Name}' and '{stored[1].Name}' are the same parameter; " +
                "remove the one that is not meant.");
        }

        // A tied decoder stands for a head that the file has: the word embeddings alone are no language model.
        List<ParameterInfo> tied = stored.Count > 0 || HasSiblings(logicalName) ? Stored(parameter.TiedTo) : [];
        foreach (ParameterInfo found in stored.Concat(tied))
        {
            Check(found, parameter);
        }

        if (stored.Count > 0 && tied.Count > 0 && !SameElements(stored[0], tied[0]))
        {
            BadFile.Throw(
                File.Path,
                $"tensors '{stored[0].Name}' and '{tied[0].Name}' are tied but differ; " +
                "remove one, or set \"tie_word_embeddings\": false in config.json for a decoder of its own.");
        }

        return stored.Concat(tied).FirstOrDefault();
    }

    private List<ParameterInfo> Stored(IReadOnlyList<string> names)
    {
        List<ParameterInfo> stored = [];
        foreach (string name in names)
        {
            if (File.Parameters.TryGetValue(name, out ParameterInfo? parameter))
            {
                stored.Add(parameter);
            }
        }

        return stored;
    }

    private bool HasSiblings(string logicalName)
    {
        const string Predictions = "cls.predictions.";
        return logicalName.StartsWith(Predictions, StringComparison.Ordinal)
            && File.Parameters.Keys.Any(name => name.StartsWith(Predictions, StringComparison.Ordinal));
    }

    private static void Check(ParameterInfo found, LogicalParameter expected)
    {
        bool same = found.Shape.Count == expected.Shape.Length;
        for (int i = 0; same && i < expected.Shape.Length; i++) same = found.Shape[i] == expected.Shape[i];
        if (!same)
        {
            BadFile.Throw(
                found.File,
                found.Name,
                $"has shape {ParameterInfo.Describe(found.Shape)}; " +
                $"config.json makes it {ParameterInfo.Describe(expected.Shape)}.");
        }

        if (!found.Type.IsFloat())
        {
            BadFile.Throw(
                found.File,
                found.Name,
                $"is {found.Type.StoredName()}; a parameter must be F32, F16, BF16 or F64.");
        }
    }

    private bool SameElements(ParameterInfo left, ParameterInfo right)
    {
        // 64 KiB: large enough that the calls cost nothing beside the reading.
        const int Chunk = 1 << 14;
        float[] buffer = ArrayPool<float>.Shared.Rent(2 * Chunk);
        bool same = true;
        for (long start = 0; same && start < left.Count; start += Chunk)
        {
            int count = (int)Math.Min(Chunk, left.Count - start);
            File.Read(left.Name, start, buffer.AsSpan(0, count));
            File.Read(right.Name, start, buffer.AsSpan(Chunk, count));
            same = buffer.AsSpan(0, count).SequenceEqual(buffer.AsSpan(Chunk, count));
        }

        ArrayPool<float>.Shared.Return(buffer);
        return same;
    }
}
