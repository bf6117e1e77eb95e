using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Net.Http.Headers;
using Qkv.App.Output;
using MinDataRate = Microsoft.AspNetCore.Server.Kestrel.Core.MinDataRate;

namespace Qkv.App.Server;

/// <summary>
/// The studio over HTTP: the page's files, <c>GET /info</c>, <c>GET /health</c>, and what the model computes by
/// POST: <c>/trace</c>, <c>/trace.safetensors</c>, <c>/experiment</c>, <c>/export</c>. Nothing about a request outlives it.
/// </summary>
internal sealed class StudioServer : IAsyncDisposable
{
    public const string DefaultUrl = "http://127.0.0.1:5099";

    /// <summary>The longest request, in bytes: far more than any text that a model reads.</summary>
    public const int MaxRequest = 1 << 20;

    // What is longer is still read up to here and thrown away: who is cut off while sending never sees the answer.
    private const int MaxDrained = 1 << 26;

    // One answer is computed while another is being sent. Each trace may use the whole thread team, so more at once would only take memory.
    private const int Running = 2;
    private const int Waiting = 32;

    // Each may hold a request of the longest size before its turn.
    private const int MaxConnections = 256;

    // Who takes an answer more slowly than this would keep others from theirs.
    private static readonly MinDataRate s_slowestReader = new(bytesPerSecond: 1 << 17, gracePeriod: TimeSpan.FromSeconds(5));

    private static readonly string[] s_read = ["GET", "HEAD"];

    private readonly WebApplication _application;
    private readonly TextEncoder _encoder;
    private readonly string _model;
    private readonly Action<string> _note;
    private readonly MinDataRate _slowestReader;
    private readonly TraceMemory _memory = new();
    private readonly ConcurrencyLimiter _limiter = new(new ConcurrencyLimiterOptions { PermitLimit = Running, QueueLimit = Waiting, QueueProcessingOrder = QueueProcessingOrder.OldestFirst });

    private StudioServer(TextEncoder encoder, string model, string[] urls, Action<string> note, MinDataRate slowestReader)
    {
        (_encoder, _model, _note, _slowestReader) = (encoder, model, note, slowestReader);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls(urls).ConfigureKestrel(options =>
        {
            options.AddServerHeader = false;
            options.Limits.MaxRequestBodySize = MaxDrained;
            options.Limits.MaxConcurrentConnections = MaxConnections;
        });
        builder.Services.AddRoutingCore();
        _application = builder.Build();
        var guard = new RequestGuard(urls);
        _application.Use((context, next) => AnswerAsync(context, next, guard));
        MapRoutes();
    }

    /// <summary>Where it can be opened, with the ports that were found; what listens everywhere, under the name that this machine has for itself.</summary>
    public IReadOnlyCollection<string> Addresses => [.. _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
        .Select(address => address.Replace("://[::]:", "://localhost:", StringComparison.Ordinal).Replace("://0.0.0.0:", "://localhost:", StringComparison.Ordinal))];

    /// <param name="encoder">The model.</param>
    /// <param name="model">Its name.</param>
    /// <param name="urls">Where to listen, checked.</param>
    /// <param name="note">Where a failure of the server itself is told.</param>
    /// <param name="slowestReader">How fast an answer must be taken on average; null for what every usual line can do.</param>
    public static async Task<StudioServer> StartAsync(TextEncoder encoder, string model, string[] urls, Action<string> note, MinDataRate? slowestReader = null)
    {
        var server = new StudioServer(encoder, model, urls, note, slowestReader ?? s_slowestReader);
        try
        {
            await server._application.StartAsync();
            return server;
        }
        catch (Exception e)
        {
            await server.DisposeAsync();
            throw e is IOException or SocketException ? new IOException($"Cannot listen at {string.Join(", ", urls)}: {e.GetBaseException().Message}; give another address with --urls.", e) : e;
        }
    }

    /// <summary>The addresses of an option.</summary>
    /// <exception cref="UsageException">One is no address.</exception>
    public static string[] CheckUrls(string urls)
    {
        string[] parts = [.. urls.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Check)];
        return parts.Length > 0 ? parts : throw new UsageException("--urls must name an address, but is empty.");

        static string Check(string url)
        {
            BindingAddress? address = null;
            try
            {
                address = BindingAddress.Parse(url);
            }
            catch (FormatException)
            {
                // Said below.
            }
            if (address is null || address.Scheme != "http" || address.PathBase.Length > 0 || address.IsUnixPipe || address.IsNamedPipe || address.Port is < 0 or > IPEndPoint.MaxPort)
                throw new UsageException($"--urls must name addresses such as {DefaultUrl}, but is '{url}'.");
            string host = address.Host.ToLowerInvariant();
            if (IPAddress.TryParse(host, out IPAddress? number)) host = number.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{number}]" : $"{number}";
            // Kestrel listens everywhere for a name that it does not know, and whoever misspells an address did not mean that.
            else if (host is not ("localhost" or "*" or "+") && !IsThisMachine(host))
                throw new UsageException($"--urls must name an IP address, localhost, a name of this machine, or * for all its addresses, but is '{url}'.");
            // A free port can only be taken at one address, and localhost is two.
            if (host == "localhost" && address.Port == 0) host = "127.0.0.1";
            return $"http://{host}:{address.Port}";
        }

        static bool IsThisMachine(string name)
        {
            try
            {
                IPAddress[] own = [.. NetworkInterface.GetAllNetworkInterfaces().SelectMany(one => one.GetIPProperties().UnicastAddresses).Select(one => one.Address)];
                return Dns.GetHostAddresses(name).Any(own.Contains);
            }
            catch (Exception e) when (e is SocketException or ArgumentException)
            {
                return false;
            }
        }
    }

    /// <summary>Waits until the server is stopped.</summary>
    public Task WaitAsync() => _application.WaitForShutdownAsync();

    public async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync();
        await _limiter.DisposeAsync();
    }

    private void MapRoutes()
    {
        foreach (PageFile file in PageFiles.All.Values)
        {
            _application.MapMethods(file.Path, s_read, context => SendAsync(context, file));
            if (file.Path == "/index.html") _application.MapMethods("/", s_read, context => SendAsync(context, file));
        }
        _application.MapMethods("/health", s_read, context => WriteAsync(context, pipe =>
        {
            pipe.Json.WriteStartObject();
            pipe.Json.WriteString("status", "ok");
            pipe.Json.WriteEndObject();
            return ValueTask.CompletedTask;
        }));
        _application.MapMethods("/info", s_read, context => WriteAsync(context, pipe =>
        {
            ModelInfo.Write(pipe.Json, _encoder, _model);
            return ValueTask.CompletedTask;
        }));
        MapPost<TraceRequest>("/trace", async (request, context) =>
        {
            using TracedText traced = Trace(request, context);
            var answer = new TraceJson(_encoder, _model, request, traced);
            await WriteAsync(context, answer.WriteAsync);
        });
        MapPost<TraceRequest>("/trace.safetensors", SendTensorsAsync);
        MapPost<ExperimentRequest>("/experiment", async (request, context) =>
        {
            using var experiment = new Experiment(_encoder, request, _memory, context.RequestAborted);
            await WriteAsync(context, pipe => experiment.WriteAsync(pipe, _model));
        });
        MapPost<ExportRequest>("/export", async (request, context) =>
        {
            using TracedText traced = Trace(request, context);
            var page = new ExportedPage(_encoder, _model, request, traced);
            context.Response.ContentType = "text/html; charset=utf-8";
            context.Response.Headers.ContentDisposition = "attachment; filename=\"attention.html\"";
            await page.WriteAsync(context.Response.BodyWriter, _memory, context.RequestAborted);
        });
    }

    private TracedText Trace(TraceRequest request, HttpContext context) =>
        new(_encoder, TracedToken.Read(_encoder, request.Text, request.Pair, request.SpecialTokens), [], _memory, context.RequestAborted);

    /// <summary>The tensors as a file; it is made on the disk, where a long trace does not hurt.</summary>
    private async Task SendTensorsAsync(TraceRequest request, HttpContext context)
    {
        using var directory = Unfinished.NewDirectory();
        string path = Path.Combine(directory.Name, "trace.safetensors");
        using (TracedText traced = Trace(request, context))
        {
            if (TensorPart.Find(traced.Trace, request.Tensors).Find(part => part.Head is not null) is { } part)
                throw RequestException.Invalid($"A file holds tensors with all their heads; ask for '{part.Tensor.Name}' instead of '{part.Name}'.");
            traced.Trace.Save(path, request.Tensors);
        }
        context.Response.ContentType = "application/octet-stream";
        context.Response.Headers.ContentDisposition = "attachment; filename=\"trace.safetensors\"";
        await context.Response.SendFileAsync(path, context.RequestAborted);
    }

    /// <summary>Work that waits for its turn.</summary>
    private void MapPost<T>(string path, Func<T, HttpContext, Task> answer) where T : TraceRequest => _application.MapPost(path, async context =>
    {
        CheckType(context.Request);
        T request = RequestJson.Read<T>(await ReadBodyAsync(context));
        using RateLimitLease lease = await _limiter.AcquireAsync(1, context.RequestAborted);
        if (!lease.IsAcquired)
        {
            context.Response.Headers.RetryAfter = "1";
            throw new RequestException(StatusCodes.Status429TooManyRequests, "overloaded", "The server is busy with other requests; try again in a second.");
        }
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } feature) feature.MinDataRate = _slowestReader;
        await answer(request, context);
    });

    private static void CheckType(HttpRequest request)
    {
        if (!request.HasJsonContentType() || !MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type)
            || (type.Charset.HasValue && !HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase)))
            throw new RequestException(StatusCodes.Status415UnsupportedMediaType, "validation", "The request must be of type application/json, in UTF-8.");
        if (request.Headers.ContentEncoding is { Count: > 0 } encoding && !string.Equals(encoding, "identity", StringComparison.OrdinalIgnoreCase))
            throw new RequestException(StatusCodes.Status415UnsupportedMediaType, "validation", "The request must not be compressed.");
    }

    private static async Task<byte[]> ReadBodyAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        var part = new byte[1 << 14];
        long length = 0;
        for (int count; (count = await context.Request.Body.ReadAsync(part, context.RequestAborted)) > 0; length += count)
            if (length + count <= MaxRequest) body.Write(part, 0, count);
        return length <= MaxRequest ? body.ToArray() : throw TooLarge;
    }

    private static RequestException TooLarge => RequestException.TooLarge($"A request may have at most {MaxRequest:N0} bytes.");

    /// <summary>Around every answer: headers, the guard, and what goes wrong as one sentence.</summary>
    private async Task AnswerAsync(HttpContext context, RequestDelegate next, RequestGuard guard)
    {
        RequestGuard.AddHeaders(context.Response.Headers);
        try
        {
            guard.Check(context.Request);
            await next(context);
            if (!context.Response.HasStarted && context.Response.StatusCode is StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed)
                throw new RequestException(context.Response.StatusCode, "not_found", $"There is no {context.Request.Method} {context.Request.Path}.");
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionResetException || (e is IOException && context.RequestAborted.IsCancellationRequested))
        {
            // The client has left; nobody reads an answer.
            context.Abort();
        }
        catch (RequestException e)
        {
            await FailAsync(context, e.Status, e.Kind, e.Message);
        }
        catch (BadHttpRequestException e) when (e.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            await FailAsync(context, TooLarge.Status, TooLarge.Kind, TooLarge.Message);
        }
        catch (BadHttpRequestException e)
        {
            await FailAsync(context, e.StatusCode, "validation", e.Message);
        }
        catch (Exception e)
        {
            _note($"{context.Request.Method} {context.Request.Path} failed: {e.Message}");
            await FailAsync(context, StatusCodes.Status500InternalServerError, "internal", "The server failed at this request; its messages say why.");
        }
    }

    private static async Task FailAsync(HttpContext context, int status, string kind, string message)
    {
        if (context.Response.HasStarted || context.Response.BodyWriter.UnflushedBytes > 0)
        {
            // Half an answer must not look like a whole one.
            context.Abort();
            return;
        }
        context.Response.StatusCode = status;
        await WriteAsync(context, pipe =>
        {
            pipe.Json.WriteStartObject();
            pipe.Json.WriteString("error", message);
            pipe.Json.WriteString("error_type", kind);
            pipe.Json.WriteEndObject();
            return ValueTask.CompletedTask;
        });
    }

    private static async Task WriteAsync(HttpContext context, Func<JsonPipe, ValueTask> write)
    {
        context.Response.ContentType = "application/json";
        using var pipe = new JsonPipe(context.Response.BodyWriter, context.RequestAborted);
        await write(pipe);
        await pipe.FlushAsync();
    }

    private static async Task SendAsync(HttpContext context, PageFile file)
    {
        context.Response.Headers.ETag = file.ETag;
        if (context.Request.Headers.IfNoneMatch.ToString().Contains(file.ETag, StringComparison.Ordinal))
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        context.Response.ContentType = file.Type;
        context.Response.ContentLength = file.Bytes.Length;
        await context.Response.BodyWriter.WriteAsync(file.Bytes, context.RequestAborted);
    }
}
