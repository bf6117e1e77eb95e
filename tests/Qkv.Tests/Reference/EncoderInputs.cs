using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Tests.Reference;

/// <summary>Padded inputs as Hugging Face takes them: each (B, L).</summary>
internal sealed record EncoderInputs(int Length, int[] Ids, int[] TypeIds, int[] Positions, int[] Mask)
{
    public int Sequences => Ids.Length / Length;

    /// <summary>The inputs of a golden case; what was not passed is filled in as Hugging Face does.</summary>
    public static EncoderInputs Read(ParameterFile expected, string name)
    {
        int[] ids = expected.ReadIntegers(name + ".inputs.input_ids");
        int length = (int)expected.Parameters[name + ".inputs.input_ids"].Shape[^1];
        int[] Optional(string input, Func<int, int> otherwise) => expected.Parameters.ContainsKey($"{name}.inputs.{input}")
            ? expected.ReadIntegers($"{name}.inputs.{input}")
            : [.. Enumerable.Range(0, ids.Length).Select(otherwise)];
        return new(length, ids, Optional("token_type_ids", _ => 0), Optional("position_ids", i => i % length), Optional("attention_mask", _ => 1));
    }

    /// <summary>The same sequences, packed.</summary>
    public TokenBatch ToBatch()
    {
        var batch = new TokenBatch();
        for (int start = 0; start < Ids.Length; start += Length)
            batch.Add(Ids.AsSpan(start, Length), TypeIds.AsSpan(start, Length), Positions.AsSpan(start, Length), Mask.AsSpan(start, Length));
        return batch;
    }
}
