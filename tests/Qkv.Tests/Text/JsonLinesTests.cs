using Qkv.Text;

namespace Qkv.Tests.Text;

public class JsonLinesTests
{
    private static TextRow[] Read(string text) => Read(System.Text.Encoding.UTF8.GetBytes(text));

    private static TextRow[] Read(byte[] bytes) => [.. JsonLines.Read(new MemoryStream(bytes), "input")];

    [Fact]
    public void Rows_are_strings_or_objects_and_blank_lines_are_none()
    {
        TextRow[] rows = Read("\uFEFF\"a\"\r\n\n  {\"id\":[1,{\"text\":2}],\"text\":\"b\",\"pair\":\"c\"}\n{\"pair\":null,\"text\":\"d\"}");
        Assert.Equal([new("a", null, 1), new("b", "c", 3), new("d", null, 4)], rows);
    }

    [Fact]
    public void Escapes_are_read_and_lone_surrogates_stay() =>
        Assert.Equal("a\ud800b\n\"\\/\u4e2d😀\udc00", Read("""{"text":"a\ud800b\n\"\\\/\u4E2D\ud83d\ude00\udc00"}""")[0].Text);

    [Fact]
    public void Long_lines_cross_the_buffer()
    {
        string first = new('x', 200_000), second = new('中', 70_000);
        Assert.Equal([first, second], Read($"\"{first}\"\n\"{second}\"\n").Select(row => row.Text));
    }

    [Theory]
    [InlineData("\"a\"\n{\"text\":1}", 2)]
    [InlineData("{\"pair\":\"a\"}", 1)]
    [InlineData("{\"text\":\"a\"", 1)]
    [InlineData("{\"text\":\"a\"} x", 1)]
    [InlineData("\"a\" \"b\"", 1)]
    [InlineData("\"\\u12\"", 1)]
    [InlineData("\"a\"\n\"b\"\nplain text", 3)]
    [InlineData("12", 1)]
    public void Errors_name_file_and_line(string text, int line)
    {
        var error = Assert.Throws<InvalidDataException>(() => Read(text));
        Assert.StartsWith($"input, line {line}: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Invalid_UTF8_is_an_error()
    {
        var error = Assert.Throws<InvalidDataException>(() => Read([(byte)'"', 0xFF, (byte)'"']));
        Assert.Contains("UTF-8", error.Message, StringComparison.Ordinal);
    }
}
