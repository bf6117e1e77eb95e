using System.Buffers;
using System.IO.Enumeration;

namespace Qkv.App.Server;

/// <summary>A tensor of a trace, or one head of it, without the axis of the batch.</summary>
/// <param name="Name">As it was asked for: <c>layers.2.weights[1]</c> is head 1.</param>
/// <param name="Tensor">The whole.</param>
/// <param name="Head">The head, or null for all.</param>
internal sealed record TensorPart(string Name, TraceTensor Tensor, int? Head)
{
    /// <summary>The sizes without the batch's, and without the heads' where one is chosen.</summary>
    public long[] Shape => [.. Tensor.Shape.Skip(Head is null ? 1 : 2)];

    public int Count => (int)Shape.Aggregate(1L, (count, size) => count * size);

    /// <summary>The parts that patterns name.</summary>
    /// <exception cref="RequestException">A pattern names none.</exception>
    public static List<TensorPart> Find(AttentionTrace trace, IEnumerable<string> patterns)
    {
        var parts = new Dictionary<string, TensorPart>();
        foreach (string pattern in patterns)
        {
            bool found = false;
            (string name, int? head) = Split(pattern, trace.Heads);
            foreach (TraceTensor tensor in trace.Tensors)
            {
                if (!tensor.HoldsFloats || (head is not null && tensor.Shape.Count != 4) || !FileSystemName.MatchesSimpleExpression(name, tensor.Name, ignoreCase: false)) continue;
                string key = head is null ? tensor.Name : $"{tensor.Name}[{head}]";
                parts.TryAdd(key, new TensorPart(key, tensor, head));
                found = true;
            }
            if (!found)
                throw RequestException.Invalid($"No tensor of the trace matches '{pattern}'; there are {string.Join(", ", trace.Tensors.Where(tensor => tensor.HoldsFloats).Select(tensor => tensor.Name))}.");
        }
        return [.. parts.Values];
    }

    /// <summary><c>"name": {"shape": […], "data": float32}</c></summary>
    public async ValueTask WriteAsync(JsonPipe pipe)
    {
        float[] numbers = ArrayPool<float>.Shared.Rent((int)Tensor.Count);
        try
        {
            await pipe.WriteTensorAsync(Name, Read(numbers), Shape);
        }
        finally
        {
            ArrayPool<float>.Shared.Return(numbers);
        }
    }

    /// <summary><c>"name": {"shape": […], "least": x, "most": y, "data": bytes}</c>: value = least + byte / 255 · (most − least).</summary>
    public async ValueTask WriteMapAsync(JsonPipe pipe)
    {
        float[] numbers = ArrayPool<float>.Shared.Rent((int)Tensor.Count);
        byte[] bytes = ArrayPool<byte>.Shared.Rent(Count);
        try
        {
            (float least, float most) = Quantise(Read(numbers).Span, bytes);
            pipe.Json.WriteStartObject(Name);
            pipe.Json.WriteShape(Shape);
            pipe.Json.WriteNumber("least"u8, least);
            pipe.Json.WriteNumber("most"u8, most);
            await pipe.WriteDataAsync(bytes.AsMemory(0, Count));
            pipe.Json.WriteEndObject();
        }
        finally
        {
            ArrayPool<float>.Shared.Return(numbers);
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>Bytes from 0 (the least finite number, and −∞) to 255 (the largest).</summary>
    public static (float Least, float Most) Quantise(ReadOnlySpan<float> numbers, Span<byte> bytes)
    {
        float least = float.PositiveInfinity, most = float.NegativeInfinity;
        foreach (float number in numbers)
        {
            if (!float.IsFinite(number)) continue;
            least = MathF.Min(least, number);
            most = MathF.Max(most, number);
        }
        if (least > most) (least, most) = (0f, 0f);
        float scale = most > least ? 255f / (most - least) : 0f;
        for (int i = 0; i < numbers.Length; i++)
            bytes[i] = float.IsFinite(numbers[i]) ? (byte)((numbers[i] - least) * scale + 0.5f) : (byte)0;
        return (least, most);
    }

    private ReadOnlyMemory<float> Read(float[] numbers)
    {
        Tensor.CopyTo(numbers.AsSpan(0, (int)Tensor.Count));
        return numbers.AsMemory((Head ?? 0) * Count, Count);
    }

    private static (string Name, int? Head) Split(string pattern, int heads)
    {
        int bracket = pattern.EndsWith(']') ? pattern.LastIndexOf('[') : -1;
        if (bracket < 0) return (pattern, null);
        return int.TryParse(pattern.AsSpan(bracket + 1, pattern.Length - bracket - 2), System.Globalization.NumberStyles.None, null, out int head) && head < heads
            ? (pattern[..bracket], head)
            : throw RequestException.Invalid($"'{pattern}' names no head; this model's heads are 0 … {heads - 1}.");
    }
}
