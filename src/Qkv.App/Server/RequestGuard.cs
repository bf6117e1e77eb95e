using System.Net;
using Microsoft.AspNetCore.Http;

namespace Qkv.App.Server;

/// <summary>
/// Keeps other web pages out. A page elsewhere may give its own host name this machine's address (DNS rebinding) and then talk to this
/// server as if it were its own; but the browser still says that name in Host, and every request to change something says in Origin where it
/// comes from. So only the names that the server was given are answered, and only pages of this server.
/// </summary>
internal sealed class RequestGuard
{
    private const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private readonly HashSet<string> _hosts = new(StringComparer.OrdinalIgnoreCase);
    private readonly bool _anyAddress;

    /// <param name="urls">Where the server listens.</param>
    public RequestGuard(IEnumerable<string> urls)
    {
        foreach (string url in urls)
        {
            var address = Microsoft.AspNetCore.Http.BindingAddress.Parse(url);
            if (address.Host is "localhost" or "127.0.0.1" or "[::1]") _hosts.UnionWith(["localhost", "127.0.0.1", "[::1]"]);
            else if (address.Host is "*" or "+" or "0.0.0.0" or "[::]")
            {
                // Whoever listens everywhere is reached under this machine's name, or by a number, which no name server can forge.
                _anyAddress = true;
                _hosts.UnionWith(["localhost", Dns.GetHostName()]);
            }
            else _hosts.Add(address.Host);
        }
    }

    /// <exception cref="RequestException">The request is for another host, or from another page.</exception>
    public void Check(HttpRequest request)
    {
        string host = request.Host.Host;
        if (!_hosts.Contains(host) && !(_anyAddress && IPAddress.TryParse(host, out _)))
            throw new RequestException(StatusCodes.Status403Forbidden, "validation", "This host is not one that the server listens to; open the address that it printed.");
        if (request.Headers.Origin is { Count: > 0 } origin && !string.Equals(origin, $"{request.Scheme}://{request.Host.Value}", StringComparison.OrdinalIgnoreCase))
            throw new RequestException(StatusCodes.Status403Forbidden, "validation", "Pages of another origin may not use this server.");
    }

    /// <summary>What every answer says.</summary>
    public static void AddHeaders(IHeaderDictionary headers)
    {
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = "no-cache";
    }
}
