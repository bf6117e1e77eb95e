using System.Net;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Qkv.App.Server;

namespace Qkv.Tests.App.Server;

/// <summary>A server of this process on a port of its own, and a client.</summary>
public sealed class RunningServer : IAsyncLifetime
{
    private StudioServer? _server;

    public TextEncoder Encoder { get; } = TextEncoder.Load(Command.Bundled);

    public HttpClient Client { get; } = new();

    public List<string> Notes { get; } = [];

    public async ValueTask InitializeAsync()
    {
        _server = await StudioServer.StartAsync(Encoder, "bundled", ["http://127.0.0.1:0"], Notes.Add);
        Client.BaseAddress = new Uri(Assert.Single(_server.Addresses));
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (_server != null) await _server.DisposeAsync();
    }

    public Task<JsonElement> PostAsync(string path, object request) => PostAsync(Client, path, request);

    public static async Task<JsonElement> PostAsync(HttpClient client, string path, object request)
    {
        using HttpResponseMessage response = await SendAsync(client, path, JsonSerializer.Serialize(request));
        string body = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        return JsonDocument.Parse(body).RootElement;
    }

    public Task<HttpResponseMessage> SendAsync(string path, string body) => SendAsync(Client, path, body);

    private static Task<HttpResponseMessage> SendAsync(HttpClient client, string path, string body)
    {
        var content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        return client.PostAsync(path, content, TestContext.Current.CancellationToken);
    }

    /// <summary>The answer is an error: this status, one sentence with these words, and this kind.</summary>
    public static async Task IsErrorAsync(int status, string kind, string words, HttpResponseMessage response)
    {
        JsonElement json = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement;
        string error = json.GetProperty("error").GetString()!;
        Assert.Contains(words, error);
        Assert.EndsWith(".", error);
        Assert.DoesNotContain('\n', error);
        Assert.DoesNotMatch(@"\.NET|System\.|Qkv\.App", error);
        Assert.Equal((status, kind), ((int)response.StatusCode, json.GetProperty("error_type").GetString()));
    }

    public async Task FailsAsync(string path, object request, string words, int status = 400, string kind = "validation")
    {
        using HttpResponseMessage response = await SendAsync(path, request as string ?? JsonSerializer.Serialize(request));
        await IsErrorAsync(status, kind, words, response);
    }

    public static float[] Floats(JsonElement tensor)
    {
        float[] numbers = MemoryMarshal.Cast<byte, float>(tensor.GetProperty("data").GetBytesFromBase64()).ToArray();
        Assert.Equal(Shape(tensor).Aggregate(1, (count, size) => count * size), numbers.Length);
        return numbers;
    }

    public static int[] Shape(JsonElement tensor) => [.. tensor.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32())];
}
