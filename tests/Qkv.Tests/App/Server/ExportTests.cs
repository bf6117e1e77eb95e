using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Qkv.App.Server;

namespace Qkv.Tests.App.Server;

/// <summary>The page as one file: its modules joined, nothing else may run in it, and what it carries.</summary>
public sealed partial class ExportTests(RunningServer server) : IClassFixture<RunningServer>
{
    private const string Fish = "我想吃酸菜鱼";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static string Join(params (string Path, string Source)[] modules) => ModuleBundle.Join(modules.ToDictionary(module => module.Path, module => module.Source), "/main.js");

    [Fact]
    public void Modules_are_joined_in_the_order_of_their_imports() => Assert.Equal(
        "(() => {\n'use strict';\nconst Q = 1;\nclass K {}\nfunction draw() { return Q; }\nasync function start() {}\nlet later;\nstart();\n})();\n",
        Join(
            ("/main.js", "import { draw } from './draw/matrix.js';\nimport {\n  Q,\n  K,\n} from \"./base.js\";\nimport './later.js';\nexport async function start() {}\nlet later;\nstart();\n"),
            ("/draw/matrix.js", "import { Q } from '../base.js';\nexport function draw() { return Q; }\nexport { draw };\n"),
            ("/base.js", "export const Q = 1;\r\nexport class K {}\n"),
            ("/later.js", "")));

    [Fact]
    public void A_closing_tag_in_a_text_does_not_end_the_script() =>
        Assert.DoesNotContain("</script", Join(("/main.js", "const a = '</script><!-- x';\n")));

    [Theory]
    [InlineData("import { a as b } from './x.js';\n", "renames")]
    [InlineData("import * as x from './x.js';\n", "cannot be joined")]
    [InlineData("import x from './x.js';\n", "cannot be joined")]
    [InlineData("import { a } from 'https://example.org/x.js';\n", "cannot be joined")]
    [InlineData("import { a } from './missing.js';\n", "no module /missing.js")]
    [InlineData("export default 1;\n", "cannot be joined")]
    [InlineData("const a = 1;\nexport { a as b };\n", "cannot be joined")]
    [InlineData("await start();\n", "cannot be joined")]
    [InlineData("import { a } from './x.js';\nconst a = 1;\n", "declares a")]
    public void What_cannot_be_joined_is_named(string source, string words) =>
        Assert.Contains(words, Assert.Throws<InvalidOperationException>(() => Join(("/main.js", source), ("/x.js", "export const a = 1;\n"))).Message);

    [Fact]
    public void The_page_names_what_may_run_in_it()
    {
        (string before, string after) = ExportedPage.Build(new Dictionary<string, string>
        {
            ["/index.html"] = "<!doctype html>\n<html><head><meta charset=\"utf-8\"><link rel=\"stylesheet\" href=\"studio.css\"><link rel=\"modulepreload\" href=\"x.js\">\n<script type=\"module\" src=\"main.js\"></script></head>\n<body><p>吃</p></body></html>\n",
            ["/studio.css"] = "p { color: red }",
            ["/main.js"] = "const a = '吃';",
        });
        AssertPolicy(before + "{}" + after);
        Assert.DoesNotContain("modulepreload", before);
        Assert.DoesNotContain(" src=", before + after);
        Assert.EndsWith("</body></html>\n", after);
    }

    [Fact]
    public async Task A_file_of_512_tokens_fits_and_carries_what_the_page_needs()
    {
        string text = "</script><script>alert(1)</script>" + string.Concat(Enumerable.Repeat(Fish, 81));
        int length = server.Encoder.Tokenizer.Encode(text).Length;
        text += new string('鱼', 512 - length);
        using HttpResponseMessage response = await server.SendAsync("/export", JsonSerializer.Serialize(new { text, parameters = new { layer = 1, head = 2 }, view = new { language = "zh" } }));
        byte[] bytes = await response.Content.ReadAsByteArrayAsync(Cancellation);
        Assert.Equal("text/html; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.InRange(bytes.Length, 12_000_000, 15_000_000);
        string html = Encoding.UTF8.GetString(bytes);
        AssertPolicy(html);
        JsonElement data = Data(html);
        Assert.Equal(text, data.GetProperty("text").GetString());
        Assert.True(data.GetProperty("recorded").GetBoolean());
        Assert.Equal((1, 2, "zh"), (data.GetProperty("layer").GetInt32(), data.GetProperty("head").GetInt32(), data.GetProperty("view").GetProperty("language").GetString()));
        Assert.Equal(512, data.GetProperty("tokens").GetArrayLength());
        Assert.Equal(16, data.GetProperty("facts").GetArrayLength());
        JsonElement parameters = data.GetProperty("parameters")[0];
        Assert.Equal((1, 2), (parameters.GetProperty("layer").GetInt32(), parameters.GetProperty("head").GetInt32()));

        AttentionTrace trace = server.Encoder.Trace(text);
        JsonElement tensors = data.GetProperty("tensors");
        Assert.Equal(4 + 4 * 4, tensors.EnumerateObject().Count());
        foreach (JsonProperty tensor in tensors.EnumerateObject()) Bits.Equal(trace[tensor.Name].ToFloats(), RunningServer.Floats(tensor.Value));
    }

    [Fact]
    public async Task A_short_text_carries_every_head_and_recorded_experiments()
    {
        using HttpResponseMessage response = await server.SendAsync("/export", JsonSerializer.Serialize(new
        {
            text = Fish,
            experiments = (object[])[new { text = Fish, interventions = (object[])[new { kind = "no_positions" }], maps = (string[])["layers.0.weights"] }],
        }));
        JsonElement data = Data(await response.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal((3, 0), (data.GetProperty("layer").GetInt32(), data.GetProperty("head").GetInt32()));
        Assert.Equal(16, data.GetProperty("parameters").EnumerateArray().Select(head => (head.GetProperty("layer").GetInt32(), head.GetProperty("head").GetInt32())).Distinct().Count());
        JsonElement experiment = Assert.Single(data.GetProperty("experiments").EnumerateArray());
        Assert.Equal("no_positions", experiment.GetProperty("request").GetProperty("interventions")[0].GetProperty("kind").GetString());
        Assert.Equal(8, experiment.GetProperty("answer").GetProperty("after").GetProperty("tokens").GetArrayLength());
        await server.FailsAsync("/export", new { text = Fish, parameters = new { layer = 9, head = 0 } }, "layer 9");
        await server.FailsAsync("/export", new { text = Fish, experiments = Enumerable.Repeat(new { text = Fish, interventions = Array.Empty<object>() }, 33) }, "at most 32 items");
        await server.FailsAsync("/export", new { text = Fish, experiments = (object[])[new { text = Fish, interventions = (object[])[new { kind = "sing" }] }] }, "sing");
    }

    [Fact]
    public void The_command_makes_the_same_file()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.File("a.html");
        Command.Succeeds("attend", Fish, "--pair", "<b>", "--layer", "2", "--head", "1", "--output", path);
        string html = File.ReadAllText(path);
        AssertPolicy(html);
        JsonElement data = Data(html);
        Assert.Equal((2, 1, "<b>"), (data.GetProperty("layer").GetInt32(), data.GetProperty("head").GetInt32(), data.GetProperty("pair").GetString()));
        Bits.Equal(server.Encoder.Trace(Fish, "<b>")["layers.3.values"].ToFloats(), RunningServer.Floats(data.GetProperty("tensors").GetProperty("layers.3.values")));
        Assert.Single(Directory.GetFiles(directory.Path));
        Command.Fails(2, "--format html needs --output", "attend", Fish, "--format", "html");
    }

    [Fact]
    public async Task Every_file_of_the_page_is_served_with_its_mark()
    {
        Assert.Contains("/index.html", PageFiles.All.Keys);
        foreach (PageFile file in PageFiles.All.Values)
        {
            using HttpResponseMessage response = await server.Client.GetAsync(file.Path == "/index.html" ? "/" : file.Path, Cancellation);
            Assert.Equal(file.Type, response.Content.Headers.ContentType!.ToString());
            Assert.Equal(file.Bytes, await response.Content.ReadAsByteArrayAsync(Cancellation));
            using var again = new HttpRequestMessage(HttpMethod.Get, file.Path);
            again.Headers.IfNoneMatch.Add(response.Headers.ETag!);
            using HttpResponseMessage unchanged = await server.Client.SendAsync(again, Cancellation);
            Assert.Equal(304, (int)unchanged.StatusCode);
        }
    }

    private static JsonElement Data(string html)
    {
        string json = Between(html, "<script type=\"application/json\" id=\"trace\">", "</script>");
        Assert.DoesNotContain('<', json);
        return JsonDocument.Parse(json).RootElement;
    }

    /// <summary>The policy names the one script and the one style, and nothing comes from elsewhere.</summary>
    private static void AssertPolicy(string html)
    {
        string policy = Between(html, "<meta http-equiv=\"Content-Security-Policy\" content=\"", "\">");
        string script = Between(html, "<script>", "</script>"), style = Between(html, "<style>", "</style>");
        Assert.Equal($"default-src 'none'; script-src '{Hash(script)}'; style-src '{Hash(style)}'; img-src data: blob:; base-uri 'none'; form-action 'none'", policy);
        Assert.True(html.IndexOf("Content-Security-Policy", StringComparison.Ordinal) < html.IndexOf("<style", StringComparison.Ordinal));
        Assert.Equal(2, Script().Count(html));
    }

    private static string Hash(string text) => $"sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}";

    private static string Between(string text, string start, string end)
    {
        int first = text.IndexOf(start, StringComparison.Ordinal) + start.Length;
        Assert.True(first >= start.Length, start);
        return text[first..text.IndexOf(end, first, StringComparison.Ordinal)];
    }

    [GeneratedRegex("<script")]
    private static partial Regex Script();
}
