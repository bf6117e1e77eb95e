using System.Diagnostics;

namespace Qkv.Tests.App;

/// <summary>The command as a process of its own: from another directory, in the plainest locale.</summary>
internal static class CommandProcess
{
    /// <summary>The runtime that this process runs in.</summary>
    public static string Host => Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet";

    public static Process Start(string[] arguments, params ReadOnlySpan<(string Name, string Value)> environment)
    {
        var start = new ProcessStartInfo(Host)
        {
            WorkingDirectory = Path.GetTempPath(),
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            StandardOutputEncoding = new System.Text.UTF8Encoding(false),
        };
        start.Environment["LC_ALL"] = "C";
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "Qkv.App.dll"));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
