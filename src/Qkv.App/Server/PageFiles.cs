using System.Collections.Frozen;
using System.Reflection;
using System.Security.Cryptography;

namespace Qkv.App.Server;

/// <summary>A file of the page.</summary>
/// <param name="Path">As <c>/main.js</c>.</param>
/// <param name="Type">Its media type.</param>
/// <param name="Bytes">What is in it.</param>
internal sealed record PageFile(string Path, string Type, byte[] Bytes)
{
    public string ETag { get; } = $"\"{Convert.ToHexStringLower(SHA256.HashData(Bytes).AsSpan(0, 12))}\"";

    public string Text => System.Text.Encoding.UTF8.GetString(Bytes);
}

/// <summary>The files of the page, which are resources of the program.</summary>
internal static class PageFiles
{
    private const string Prefix = "Studio/";

    public static FrozenDictionary<string, PageFile> All { get; } = Load().ToFrozenDictionary(file => file.Path);

    private static IEnumerable<PageFile> Load()
    {
        Assembly assembly = typeof(PageFiles).Assembly;
        foreach (string resource in assembly.GetManifestResourceNames())
        {
            string name = resource.Replace('\\', '/');
            if (!name.StartsWith(Prefix, StringComparison.Ordinal)) continue;
            using Stream stream = assembly.GetManifestResourceStream(resource)!;
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            yield return new PageFile(name[(Prefix.Length - 1)..], TypeOf(Path.GetExtension(name)), bytes);
        }
    }

    private static string TypeOf(string extension) => extension switch
    {
        ".html" => "text/html; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".json" => "application/json",
        ".svg" => "image/svg+xml",
        ".png" => "image/png",
        ".woff2" => "font/woff2",
        _ => "application/octet-stream",
    };
}
