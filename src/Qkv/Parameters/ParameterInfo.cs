namespace Qkv.Parameters;

/// <summary>One stored tensor: its name, the type of its elements, its shape and the file that holds it.</summary>
/// <param name="Name">The name it is stored under.</param>
/// <param name="Type">The type of its elements.</param>
/// <param name="Shape">Its sizes, outermost first; empty for a single number.</param>
/// <param name="File">The path of the file that holds its elements: the shard, where there are several.</param>
public sealed record ParameterInfo(string Name, ElementType Type, IReadOnlyList<long> Shape, string File)
{
    /// <summary>The number of elements: the product of the sizes.</summary>
    public long Count
    {
        get
        {
            long count = 1;
            for (int i = 0; i < Shape.Count; i++) count *= Shape[i];
            return count;
        }
    }

    /// <summary>A shape as it is written in messages: <c>(200, 32)</c>; one of absurdly many sizes is cut.</summary>
    internal static string Describe(IReadOnlyList<long> shape)
    {
        const int Longest = 16;
        return $"({string.Join(", ", shape.Take(Longest))}{(shape.Count > Longest ? ", …" : "")})";
    }

    /// <summary>The product of the sizes, or false where it is more than any file can hold.</summary>
    internal static bool TryCount(IReadOnlyList<long> shape, int elementSize, out long count)
    {
        count = 1;
        for (int i = 0; i < shape.Count; i++)
        {
            if (shape[i] < 0 || Math.BigMul(count, shape[i], out long product) != 0 || product < 0 || product > long.MaxValue / elementSize) return false;
            count = product;
        }

        return true;
    }
}
