using System.Buffers.Binary;
using System.Text;

namespace Qkv.Tests.Parameters;

/// <summary>Safetensors files written by hand, wrong ones included.</summary>
internal static class SafetensorsBytes
{
    public static byte[] Of(string header, int dataLength) => Of(Encoding.UTF8.GetBytes(header), dataLength);

    public static byte[] Of(byte[] header, int dataLength) => Of((ulong)header.Length, header, dataLength);

    public static byte[] Of(ulong length, byte[] header, int dataLength)
    {
        byte[] file = new byte[8 + header.Length + dataLength];
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        header.CopyTo(file, 8);
        return file;
    }

    public static string Tensor(string name, string type, string shape, long begin, long end) =>
        $$"""{{'"'}}{{name}}":{"dtype":"{{type}}","shape":[{{shape}}],"data_offsets":[{{begin}},{{end}}]}""";
}
