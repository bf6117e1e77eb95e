using System.Diagnostics;
using System.Text.Json;

namespace Qkv.Tests.App.Server;

public sealed class ServeCommandTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task It_prints_where_it_is()
    {
        using Process process = CommandProcess.Start(["serve", "--urls", "http://127.0.0.1:0", "--json"]);
        try
        {
            string line = (await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken))!;
            string url = JsonDocument.Parse(line).RootElement.GetProperty("url").GetString()!;
            Assert.Matches("^http://127.0.0.1:[1-9][0-9]*$", url);
            Assert.Contains("ok", await server.Client.GetStringAsync(new Uri(url + "/health"), TestContext.Current.CancellationToken));
        }
        finally
        {
            process.Kill();
        }
    }

    [Fact]
    public void What_it_cannot_listen_to_is_one_sentence()
    {
        Command.Fails(1, "another address with --urls", "serve", "--urls", server.Client.BaseAddress!.GetLeftPart(UriPartial.Authority));
        Command.Fails(2, "--urls must name addresses", "serve", "--urls", "https://localhost");
    }

    [Fact]
    public void A_model_that_cannot_read_text_is_not_served()
    {
        using var copy = new TemporaryDirectory();
        foreach (string file in (string[])["config.json", "model.safetensors"]) File.Copy(Path.Combine(Command.Golden("bert-tiny"), file), copy.File(file));
        Command.Fails(1, "has no tokenizer", "serve", "--urls", "http://127.0.0.1:0", "--model", copy.Path);
    }
}
