using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Qkv.App.Server;
using Qkv.Tests.Encoders;

namespace Qkv.Tests.App.Server;

/// <summary>Requests that are too long, too many, broken, or from somewhere else. Memory and time are measured, so nothing else may run.</summary>
[Collection(nameof(Alone))]
public sealed class FaultTests(RunningServer server) : IClassFixture<RunningServer>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_text_of_ten_megabytes_is_too_large()
    {
        using HttpResponseMessage response = await server.SendAsync("/trace", JsonSerializer.Serialize(new { text = new string('a', 10_000_000) }));
        await RunningServer.IsErrorAsync(413, "too_large", "1,048,576 bytes", response);
        // Without a length it is counted while it is read.
        using var request = new HttpRequestMessage(HttpMethod.Post, "/trace") { Content = new StringContent("{\"text\":\"" + new string('a', 10_000_000), Encoding.UTF8, "application/json") };
        request.Headers.TransferEncodingChunked = true;
        using HttpResponseMessage chunked = await server.Client.SendAsync(request, Cancellation);
        await RunningServer.IsErrorAsync(413, "too_large", "1,048,576 bytes", chunked);
        Assert.Contains("ok", await server.Client.GetStringAsync("/health", Cancellation));
    }

    [Theory]
    [InlineData("", "cannot be read")]
    [InlineData("{\"text\":", "cannot be read")]
    [InlineData("null", "but is null")]
    [InlineData("[1]", "cannot be read")]
    [InlineData("{\"text\":3}", "$.text")]
    [InlineData("{\"text\":null}", "$.text")]
    [InlineData("{}", "text")]
    [InlineData("{\"text\":\"a\",\"text\":\"b\"}", "text")]
    [InlineData("{\"text\":\"a\",\"surprise\":1}", "surprise")]
    [InlineData("{\"text\":\"a\",\"tensors\":[null]}", "'tensors'")]
    [InlineData("{\"text\":\"\\ud800\"}", "not Unicode")]
    [InlineData("{\"text\":\"a\"} trailing", "cannot be read")]
    public Task Broken_json_is_one_sentence(string body, string words) => server.FailsAsync("/trace", body, words);

    [Fact]
    public async Task What_is_sent_in_another_form_is_told_by_its_form()
    {
        byte[] json = "{\"text\":\"a\"}"u8.ToArray();
        await IsAsync(200, "", json, "application/json");
        await IsAsync(200, "", [0xEF, 0xBB, 0xBF, .. json], "application/json; charset=UTF-8");
        await IsAsync(200, "", json, "application/json; charset=\"utf-8\"", encoding: "identity");
        await IsAsync(415, "in UTF-8", Encoding.Unicode.GetBytes("{\"text\":\"a\"}"), "application/json; charset=utf-16");
        await IsAsync(415, "compressed", [0x1F, 0x8B], "application/json", encoding: "gzip");
        await IsAsync(400, "not Unicode", [.. "{\"text\":\""u8, 0xFF, .. "\"}"u8], "application/json");

        async Task IsAsync(int status, string words, byte[] body, string type, string? encoding = null)
        {
            using var content = new ByteArrayContent(body);
            content.Headers.TryAddWithoutValidation("Content-Type", type);
            if (encoding != null) content.Headers.ContentEncoding.Add(encoding);
            using HttpResponseMessage response = await server.Client.PostAsync("/trace", content, Cancellation);
            if (status == 200) Assert.Equal(200, (int)response.StatusCode);
            else await RunningServer.IsErrorAsync(status, "validation", words, response);
        }
    }

    [Fact]
    public async Task Other_types_and_routes_are_refused()
    {
        using HttpResponseMessage form = await server.Client.PostAsync("/trace", new StringContent("{\"text\":\"a\"}", Encoding.UTF8, "text/plain"), Cancellation);
        await RunningServer.IsErrorAsync(415, "validation", "application/json", form);
        using HttpResponseMessage missing = await server.Client.GetAsync("/../etc/passwd", Cancellation);
        await RunningServer.IsErrorAsync(404, "not_found", "GET /etc/passwd", missing);
        using HttpResponseMessage method = await server.Client.GetAsync("/trace", Cancellation);
        await RunningServer.IsErrorAsync(405, "not_found", "GET /trace", method);
    }

    [Theory]
    [InlineData("evil.example", null, 403)]
    [InlineData("127.0.0.1.evil.example", null, 403)]
    [InlineData("[::2]", null, 403)]
    [InlineData("localhost", null, 200)]
    [InlineData("[::1]", null, 200)]
    [InlineData(null, "http://evil.example", 403)]
    [InlineData(null, "null", 403)]
    [InlineData(null, "http://127.0.0.1:1", 403)]
    [InlineData(null, "same", 200)]
    public async Task Other_hosts_and_other_pages_stay_out(string? host, string? origin, int status)
    {
        string authority = server.Client.BaseAddress!.Authority;
        foreach (HttpMethod method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Post])
        {
            using var request = new HttpRequestMessage(method, method == HttpMethod.Get ? "/info" : "/trace");
            if (method == HttpMethod.Post) request.Content = new StringContent("{\"text\":\"a\"}", Encoding.UTF8, "application/json");
            if (host != null) request.Headers.Host = host + authority[authority.LastIndexOf(':')..];
            if (origin != null) request.Headers.Add("Origin", origin == "same" ? $"http://{authority}" : origin);
            using HttpResponseMessage response = await server.Client.SendAsync(request, Cancellation);
            Assert.Equal(status, (int)response.StatusCode);
            HasHeaders(response);
        }
    }

    [Fact]
    public void Names_of_the_given_addresses_are_let_in()
    {
        Assert.Equal(["http://127.0.0.1:0", "http://10.0.0.1:80"], StudioServer.CheckUrls("http://127.0.0.1:0; http://10.0.0.1:80"));
        Assert.Equal(["http://127.0.0.1:0", "http://*:0", "http://localhost:80", "http://[::1]:7", "http://0.0.0.0:0", "http://127.0.0.1:0"],
            StudioServer.CheckUrls("http://localhost:0;http://*:0;http://LOCALHOST:80;http://[0:0:0:0:0:0:0:1]:7;http://0:0;http://127.1:0"));
        // Under a name that is not its own the server would listen everywhere.
        foreach (string bad in (string[])["", ";", "127.0.0.1", "ftp://x", "https://localhost", "http://localhost:80/base", "http://unix:/tmp/x", "http://256.1.1.1:0", "http://example.invalid:0",
            "http://user@127.0.0.1:0", "http://127.0.0.1:0?x", "http://127.0.0.1:99999"])
            Assert.Contains("--urls", Assert.Throws<Qkv.App.UsageException>(() => StudioServer.CheckUrls(bad)).Message);
    }

    [Fact]
    public async Task Every_answer_carries_the_headers()
    {
        foreach ((string path, string? body) in ((string, string?)[])
            [("/info", null), ("/health", null), ("/nothing", null), ("/", null), ("/trace", "{\"text\":\"a\"}"), ("/trace", "broken"), ("/trace", ""), ("/trace.safetensors", "{\"text\":\"a\"}"), ("/experiment", "{\"text\":\"a\"}"), ("/info", "{}")])
        {
            using HttpResponseMessage response = body == null ? await server.Client.GetAsync(path, Cancellation) : await server.SendAsync(path, body);
            HasHeaders(response);
        }
    }

    [Fact]
    public async Task Two_hundred_traces_at_once_are_answered_or_refused_and_take_no_memory()
    {
        string body = JsonSerializer.Serialize(new { text = string.Concat(Enumerable.Repeat("我想吃酸菜鱼", 20)), maps = (string[])["layers.*.weights"], tensors = (string[])["layers.1.*"], facts = true });
        long before = 0;
        int good = 0, busy = 0;
        for (int round = 0; round < 4; round++)
        {
            int[] codes = await Task.WhenAll(Enumerable.Range(0, 200).Select(async _ =>
            {
                using HttpResponseMessage response = await server.SendAsync("/trace", body);
                if (response.StatusCode == HttpStatusCode.TooManyRequests)
                {
                    Assert.NotNull(response.Headers.RetryAfter);
                    await RunningServer.IsErrorAsync(429, "overloaded", "busy", response);
                    HasHeaders(response);
                }
                return (int)response.StatusCode;
            }));
            Assert.All(codes, code => Assert.True(code is 200 or 429, $"{code}"));
            good += codes.Count(code => code == 200);
            busy += codes.Count(code => code == 429);
            if (round == 1) before = GC.GetTotalMemory(forceFullCollection: true);
        }
        Assert.True(good >= 4 * 30 && busy > 0, $"{good} answered, {busy} refused");
        // One trace of these takes 8 MB: were one in ten kept, that would be 64. What is measured besides is the client's.
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 64_000_000);
        Assert.Empty(server.Notes);
    }

    /// <summary>
    /// On one thread and in processor time (client and all), which is what the clock shows where the machine does nothing else: other
    /// work on the machine does not count.
    /// </summary>
    [Fact]
    public async Task A_trace_of_128_tokens_takes_less_than_100_milliseconds()
    {
        TextEncoder encoder = TextEncoder.Load(Command.Bundled, new TextEncoderOptions { Threads = 1 });
        await using StudioServer single = await StudioServer.StartAsync(encoder, "bundled", ["http://127.0.0.1:0"], _ => { });
        using var client = new HttpClient { BaseAddress = new Uri(single.Addresses.Single()) };
        string body = JsonSerializer.Serialize(new
        {
            text = string.Concat(Enumerable.Repeat("我想吃酸菜鱼", 21)), // and [CLS] and [SEP]
            facts = true,
            maps = (string[])["layers.*.weights"],
            tensors = (string[])["embeddings*", "layers.2.*[1]", "layers.2.context", "layers.2.output"],
            parameters = new { layer = 2, head = 1 },
        });
        double best = double.MaxValue;
        for (int i = 0; i < 100 && best >= 100; i++)
        {
            TimeSpan start = Environment.CpuUsage.TotalTime;
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using HttpResponseMessage response = await client.PostAsync("/trace", content, Cancellation);
            response.EnsureSuccessStatusCode();
            best = Math.Min(best, (Environment.CpuUsage.TotalTime - start).TotalMilliseconds);
        }
        TestContext.Current.SendDiagnosticMessage($"128 tokens: {best:0.0} ms of processor time");
        Assert.InRange(best, 0, 100);
    }

    [Fact]
    public async Task A_view_that_is_no_text_is_refused()
    {
        await server.FailsAsync("/export", "{\"text\":\"a\",\"view\":{\"a\":[\"\\ud800\"]}}", "'view'");
        await server.FailsAsync("/export", "{\"text\":\"a\",\"view\":{\"\\udc00\":1}}", "$.view");
    }

    /// <summary>Two answers are worked on at a time: whoever does not take theirs is hung up on.</summary>
    [Fact]
    public async Task Clients_that_do_not_read_keep_nobody_waiting()
    {
        // Fast enough that what the system holds for a client, some megabytes, counts little.
        await using StudioServer impatient = await StudioServer.StartAsync(server.Encoder, "bundled", ["http://127.0.0.1:0"], _ => { }, new MinDataRate(1 << 22, TimeSpan.FromSeconds(2)));
        var address = new Uri(impatient.Addresses.Single());
        byte[] request = LongTrace(address);
        Socket[] clients = [.. Enumerable.Range(0, 2).Select(_ => new Socket(SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 1 << 12 })];
        foreach (Socket client in clients)
        {
            await client.ConnectAsync(address.Host, address.Port, Cancellation);
            await client.SendAsync(request, Cancellation);
            // It has its turn once something comes.
            Assert.True(await client.ReceiveAsync(new byte[100], Cancellation) > 0);
        }
        using var third = new HttpClient { BaseAddress = address };
        long start = Stopwatch.GetTimestamp();
        JsonElement answer = await RunningServer.PostAsync(third, "/trace", new { text = "我" }).WaitAsync(TimeSpan.FromMinutes(1), Cancellation);
        Assert.Equal(3, answer.GetProperty("tokens").GetArrayLength());
        // Sooner, and nobody had been in its way.
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0.5, 60);
        foreach (Socket client in clients) client.Dispose();
    }

    [Fact]
    public async Task A_client_that_hangs_up_stops_its_work()
    {
        Uri address = server.Client.BaseAddress!;
        byte[] request = LongTrace(address);
        for (int i = 0; i < 30; i++)
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(address.Host, address.Port, Cancellation);
            await socket.SendAsync(request.AsMemory(0, i % 3 == 0 ? request.Length / 2 : request.Length), Cancellation);
            if (i % 3 == 2) await socket.ReceiveAsync(new byte[1000], Cancellation);
            socket.LingerState = new LingerOption(true, 0); // a reset, as when a process dies
        }
        // Nobody holds a place any more.
        JsonElement answer = await server.PostAsync("/trace", new { text = "我" });
        Assert.Equal(3, answer.GetProperty("tokens").GetArrayLength());
        Assert.Empty(server.Notes);
    }

    /// <summary>A request whose answer no buffer holds.</summary>
    private static byte[] LongTrace(Uri address)
    {
        string body = JsonSerializer.Serialize(new { text = string.Concat(Enumerable.Repeat("我想吃酸菜鱼", 80)), tensors = (string[])["layers.*"] });
        return Encoding.UTF8.GetBytes($"POST /trace HTTP/1.1\r\nHost: {address.Authority}\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");
    }

    private static void HasHeaders(HttpResponseMessage response)
    {
        string policy = response.Headers.GetValues("Content-Security-Policy").Single();
        Assert.StartsWith("default-src 'none'; script-src 'self'; style-src 'self';", policy);
        Assert.DoesNotContain("unsafe", policy);
        Assert.Contains("frame-ancestors 'none'", policy);
        Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
        Assert.Equal("no-referrer", response.Headers.GetValues("Referrer-Policy").Single());
        Assert.False(response.Headers.Contains("Server"));
    }
}
