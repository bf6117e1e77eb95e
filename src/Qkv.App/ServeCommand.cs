using System.CommandLine;
using Qkv.App.Output;
using Qkv.App.Server;

namespace Qkv.App;

/// <summary><c>qkv serve</c>: the studio's page and its HTTP interface.</summary>
internal static class ServeCommand
{
    public static Command Create(CommonOptions common)
    {
        Option<string?> urls = Options.Text("--urls", "URL", $"Where to listen, several separated by ';' (default: {StudioServer.DefaultUrl}); port 0 takes a free one, * all addresses of this machine.");
        var command = new Command("serve", "Opens the studio: a page that follows a sentence through queries, keys and values to attention.") { urls };
        common.Run(command, (invocation, result) => Run(invocation, result.GetValue(urls)));
        return command;
    }

    // A method of its own, so that no other verb loads the web server.
    private static int Run(Invocation invocation, string? urls)
    {
        string[] listen = StudioServer.CheckUrls(urls ?? StudioServer.DefaultUrl);
        TextEncoder encoder = invocation.LoadEncoder();
        // Every route reads text: without a tokenizer none would work.
        _ = encoder.Tokenizer;
        var server = StudioServer.StartAsync(encoder, invocation.ModelName, listen, invocation.Note).GetAwaiter().GetResult();
        foreach (string address in server.Addresses)
        {
            if (invocation.Json) JsonLineWriter.Write(invocation.Terminal, address, (json, url) =>
            {
                json.WriteStartObject();
                json.WriteString("url", url);
                json.WriteEndObject();
            });
            else invocation.Terminal.Text.WriteLine($"{invocation.ModelName} is open at {address}  (Ctrl-C ends it)");
        }
        invocation.Terminal.Text.Flush();
        server.WaitAsync().GetAwaiter().GetResult();
        return 0;
    }
}
