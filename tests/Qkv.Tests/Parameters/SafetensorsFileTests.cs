using System.Text;
using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

/// <summary>One bad file for each refusal, and the odd but valid ones.</summary>
public class SafetensorsFileTests
{
    private static readonly string A = SafetensorsBytes.Tensor("a", "F32", "2", 0, 8);

    [Fact]
    public void Blanks_after_the_header_and_unknown_fields_are_valid()
    {
        using TemporaryDirectory directory = new();
        string header = """{"__metadata__":{"format":"pt","名":"值"},"b":{"dtype":"I64","note":[1,{}],"shape":[0,4],"data_offsets":[8,8]},""" + A + ",\"c\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[8,9]}}   ";
        using SafetensorsFile file = new(directory.Write("x.safetensors", SafetensorsBytes.Of(header, 9)));
        Assert.Equal(["a", "b", "c"], file.Parameters.Keys.Order());
        Assert.Equal("值", file.Metadata["名"]);
        Assert.Equal(0, file.Parameters["b"].Count);
        Assert.Equal(1, file.Parameters["c"].Count);
        Assert.Equal([0f, 0f], file.ReadAll("a"));
    }

    [Fact]
    public void A_file_without_tensors_is_valid()
    {
        using TemporaryDirectory directory = new();
        using SafetensorsFile file = new(directory.Write("x.safetensors", SafetensorsBytes.Of("{}", 0)));
        Assert.Empty(file.Parameters);
    }

    public static TheoryData<string, int, string> BadHeaders => new()
    {
        { " {}", 0, "does not start with '{'" },
        { "[]", 0, "does not start with '{'" },
        { "", 0, "does not start with '{'" },
        { "{", 0, "JSON" },
        { "{} x", 0, "JSON" },
        { "{}{}", 0, "JSON" },
        { "{" + A + ",}", 8, "JSON" },
        { "{" + A + "," + A + "}", 8, "'a' twice" },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "'__metadata__' twice" },
        { "{\"__metadata__\":{\"x\":1}}", 0, "metadata entry 'x'" },
        { "{\"__metadata__\":3}", 0, "'__metadata__' is not an object" },
        { "{\"a\":5}", 0, "'a' is not an object" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "'a' needs dtype, shape and two data_offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "'a' needs" },
        { "{\"a\":{\"dtype\":null,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'a' needs" },
        { "{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "JSON" },
        { "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'a' has dtype twice" },
        { "{" + SafetensorsBytes.Tensor("a", "F8_E4M3", "8", 0, 8) + "}", 8, "'a' has dtype 'F8_E4M3'; supported are F64, F32" },
        { "{" + SafetensorsBytes.Tensor("a", "f32", "2", 0, 8) + "}", 8, "'f32'" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "-2", 0, 8) + "}", 8, "shape of tensor 'a'" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "2.0", 0, 8) + "}", 8, "shape of tensor 'a'" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "\"2\"", 0, 8) + "}", 8, "shape of tensor 'a'" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "18446744073709551617", 0, 8) + "}", 8, "shape of tensor 'a'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "shape of tensor 'a' is not an array" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "4294967296,4294967296,2", 0, 8) + "}", 8, "'a' has a shape with more elements" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "4294967296,4294967296,4294967296,4294967296,0", 0, 0) + "}", 0, "'a' has a shape with more elements" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "3", 0, 8) + "}", 8, "'a' has data_offsets 0 to 8, but F32 (3) takes 12 bytes" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "2", 8, 0) + "}", 8, "'a' has data_offsets 8 to 0" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "2", -8, 0) + "}", 8, "data_offsets of tensor 'a'" },
        { "{" + SafetensorsBytes.Tensor("a", "F32", "2", 9223372036854775800, 9223372036854775807) + "}", 8, "'a'" },
        { "{" + A + "}", 4, "'a' ends at byte 8 of the data, which has only 4" },
        { "{" + A + "," + SafetensorsBytes.Tensor("b", "F32", "2", 4, 12) + "}", 12, "'b' overlaps" },
        { "{" + A + "," + SafetensorsBytes.Tensor("b", "F32", "2", 0, 8) + "}", 8, "overlaps" },
        { "{" + A + "," + SafetensorsBytes.Tensor("b", "F32", "1", 12, 16) + "}", 16, "'b' leaves a hole" },
        { "{" + A + "}", 9, "its tensors end at byte 8 of the data, which has 9" },
        { "{\"\\ud800\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "JSON" },
        { "{\"a\":{\"x\":[[[[[[[[[[0]]]]]]]]]],\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "JSON" },
    };

    [Theory]
    [MemberData(nameof(BadHeaders))]
    public void A_bad_header_is_refused(string header, int dataLength, string reason)
    {
        using TemporaryDirectory directory = new();
        string path = directory.Write("bad.safetensors", SafetensorsBytes.Of(header, dataLength));
        Refusal.Contains(() => new SafetensorsFile(path).Dispose(), path, reason);
    }

    [Fact]
    public void A_bad_length_is_refused()
    {
        using TemporaryDirectory directory = new();
        void Refused(byte[] file, string reason) => Refusal.Contains(() => new SafetensorsFile(directory.Write("bad.safetensors", file)).Dispose(), "bad.safetensors", reason);
        Refused([], "empty");
        Refused([1, 2, 3], "3 bytes");
        Refused(SafetensorsBytes.Of(ulong.MaxValue, [], 0), "18446744073709551615");
        Refused(SafetensorsBytes.Of(100_000_001, [], 0), "100000000");
        Refused(SafetensorsBytes.Of(100_000_000, "{}"u8.ToArray(), 0), "truncated");
        Refused(SafetensorsBytes.Of(3, "{}"u8.ToArray(), 0), "truncated");
    }

    [Theory]
    [InlineData("4611686018427387904,2")] // 2^63, which is negative in 64 bits
    [InlineData("4294967296,4294967296")] // 2^64, which is 0
    [InlineData("2,-1")]
    public void More_elements_than_any_file_holds_are_refused(string shape)
    {
        using TemporaryDirectory directory = new();
        byte[] header = Encoding.UTF8.GetBytes("{" + SafetensorsBytes.Tensor("a", "F32", shape, 0, 0) + "}");
        Refusal.Contains(() => new SafetensorsFile(directory.Write("bad.safetensors", SafetensorsBytes.Of(header, 0))).Dispose(), "bad.safetensors");
    }

    [Fact]
    public void A_tensor_without_elements_may_be_listed_anywhere()
    {
        using TemporaryDirectory directory = new();
        byte[] header = Encoding.UTF8.GetBytes("{" + SafetensorsBytes.Tensor("a", "F32", "2", 0, 8) + "," + SafetensorsBytes.Tensor("none", "F32", "0", 0, 0) + "}");
        using var file = new SafetensorsFile(directory.Write("good.safetensors", SafetensorsBytes.Of(header, 8)));
        Assert.Equal((2, 0), (file.Parameters["a"].Count, file.Parameters["none"].Count));
    }

    [Fact]
    public void Text_that_is_not_UTF_8_is_refused()
    {
        using TemporaryDirectory directory = new();
        byte[] header = Encoding.Latin1.GetBytes("{" + SafetensorsBytes.Tensor("ä", "F32", "2", 0, 8) + "}");
        Refusal.Contains(() => new SafetensorsFile(directory.Write("bad.safetensors", SafetensorsBytes.Of(header, 8))).Dispose(), "bad.safetensors", "UTF-8");
    }

    [Fact]
    public void Deep_nesting_is_refused_without_deep_recursion()
    {
        using TemporaryDirectory directory = new();
        string header = "{\"a\":" + new string('[', 1_000_000);
        Refusal.Contains(() => new SafetensorsFile(directory.Write("bad.safetensors", SafetensorsBytes.Of(header, 0))).Dispose(), "bad.safetensors");
    }

    [Fact]
    public void A_directory_in_place_of_the_file_is_no_crash()
    {
        using TemporaryDirectory directory = new();
        Directory.CreateDirectory(directory.File("model.safetensors"));
        Refusal.Contains(() => ParameterFile.OpenDirectory(directory.Path).Dispose(), "holds no parameters");
    }
}
