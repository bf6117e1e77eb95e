using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

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
}
