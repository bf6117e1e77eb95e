using System.Runtime.InteropServices;
using Qkv.Parameters;

namespace Qkv.Tests;

/// <summary>The reference data that is copied beside the tests.</summary>
internal static class Golden
{
    public static string Path(params string[] parts) =>
        System.IO.Path.Combine([AppContext.BaseDirectory, "Golden", .. parts]);

    /// <summary>All elements as float32.</summary>
    public static float[] ReadAll(this ParameterFile file, string name)
    {
        float[] values = new float[file.Parameters[name].Count];
        file.Read(name, 0, values);
        return values;
    }

    /// <summary>All elements as they are stored.</summary>
    public static byte[] ReadAllBytes(this ParameterFile file, string name)
    {
        byte[] bytes = new byte[file.Parameters[name].Count * file.Parameters[name].Type.Size()];
        file.ReadBytes(name, 0, bytes);
        return bytes;
    }

    /// <summary>All elements of an F64 tensor as they are, or of any other widened.</summary>
    public static double[] ReadDoubles(this ParameterFile file, string name) =>
        file.Parameters[name].Type == ElementType.F64 ? MemoryMarshal.Cast<byte, double>(file.ReadAllBytes(name)).ToArray() : file.ReadAll(name).ToDoubles();

    /// <summary>All elements of an I64 tensor.</summary>
    public static int[] ReadIntegers(this ParameterFile file, string name)
    {
        long[] values = new long[file.Parameters[name].Count];
        file.ReadInt64(name, 0, values);
        return [.. values.Select(value => checked((int)value))];
    }

    public static double[] ToDoubles(this IEnumerable<float> numbers) => [.. numbers.Select(number => (double)number)];

    public static float[] ToFloats(this IEnumerable<double> numbers) => [.. numbers.Select(number => (float)number)];
}
