using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.App;

/// <summary>What is traced.</summary>
/// <param name="Batch">The sequences.</param>
/// <param name="Length">L, the length that they were padded to.</param>
/// <param name="Choices">N where the ids are (B, N, L), else 1.</param>
internal sealed record TraceInputs(TokenBatch Batch, int Length, int Choices)
{
    private const string Ids = "input_ids", Mask = "attention_mask", Types = "token_type_ids", Positions = "position_ids";

    // Inputs of Hugging Face's models that would change what is computed.
    private static readonly string[] s_unsupported =
        ["inputs_embeds", "head_mask", "encoder_hidden_states", "encoder_attention_mask", "past_key_values"];

    /// <summary>Reads and checks the input tensors of a file.</summary>
    /// <param name="path">A safetensors file.</param>
    /// <param name="config">What the model takes.</param>
    /// <param name="note">Is told of tensors that are no input.</param>
    /// <exception cref="InvalidDataException">Something is missing, misshapen or out of range; one sentence says what.</exception>
    public static TraceInputs Read(string path, EncoderConfig config, Action<string> note)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"--inputs '{path}': there is no such file.");
        using var file = new SafetensorsFile(path);
        foreach (string name in file.Parameters.Keys.Except([Ids, Mask, Types, Positions]))
            if (s_unsupported.Contains(name)) throw new InvalidDataException($"{path}: {name} is an input that Qkv does not take.");
            else note($"{path}: {name} is no input of the encoder and was passed over.");
        if (!file.Parameters.TryGetValue(Ids, out ParameterInfo? ids)) throw new InvalidDataException($"{path}: there is no tensor {Ids}.");
        if (ids.Shape.Count is not (2 or 3)) throw new InvalidDataException($"{path}: {Ids} must be (B, L) or (B, N, L), but is {Shape(ids)}.");
        if (ids.Count is < 1 or > int.MaxValue) throw new InvalidDataException($"{path}: {Ids} is {Shape(ids)}; it must hold at least one sequence of one token.");

        int length = (int)ids.Shape[^1], sequences = (int)(ids.Count / length);
        bool hasPositions = file.Parameters.ContainsKey(Positions);
        if (length > config.MaxPositions && !hasPositions)
            throw new InvalidDataException($"{path}: {Ids} has sequences of {length} tokens, but this model reads at most {config.MaxPositions}.");
        int[] inputIds = Numbers(file, Ids, ids, 0, config.VocabularySize - 1);
        int[]? mask = Find(Mask, 1), types = Find(Types, config.TypeVocabularySize - 1), positions = Find(Positions, config.MaxPositions - 1);
        if (positions?.Length == length && sequences > 1) positions = [.. Enumerable.Repeat(positions, sequences).SelectMany(row => row)];

        var batch = new TokenBatch();
        for (int sequence = 0; sequence < sequences; sequence++)
            batch.Add(Row(inputIds, sequence), Row(types, sequence), Row(positions, sequence), Row(mask, sequence));
        return new TraceInputs(batch, length, ids.Shape.Count == 3 ? (int)ids.Shape[1] : 1);

        int[]? Find(string name, int largest) => file.Parameters.TryGetValue(name, out ParameterInfo? found) ? Numbers(file, name, ids, 0, largest, found) : null;
        ReadOnlySpan<int> Row(int[]? numbers, int sequence) => numbers is null ? [] : numbers.AsSpan(sequence * length, length);
    }

    private static int[] Numbers(SafetensorsFile file, string name, ParameterInfo ids, int least, int largest, ParameterInfo? found = null)
    {
        found ??= ids;
        if (found.Type != ElementType.I64) throw new InvalidDataException($"{file.Path}: {name} must be I64, but is {found.Type.StoredName()}.");
        bool isBroadcast = name == Positions && found.Shape.Count >= 1 && found.Shape[^1] == ids.Shape[^1] && found.Shape.SkipLast(1).All(size => size == 1);
        if (!found.Shape.SequenceEqual(ids.Shape) && !isBroadcast)
            throw new InvalidDataException($"{file.Path}: {name} is {Shape(found)}, but {Ids} is {Shape(ids)}; they must have the same shape.");
        var stored = new long[found.Count];
        file.ReadInt64(name, 0, stored);
        foreach (long number in stored)
            if (number < least || number > largest) throw new InvalidDataException($"{file.Path}: {name} holds {number}, but must be from {least} to {largest}.");
        return Array.ConvertAll(stored, number => (int)number);
    }

    private static string Shape(ParameterInfo info) => $"({string.Join(", ", info.Shape)})";
}
