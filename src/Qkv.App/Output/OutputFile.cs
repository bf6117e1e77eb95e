using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Qkv.App.Output;

/// <summary>A file that is written as a whole or not at all: under a temporary name beside it, then renamed.</summary>
internal static class OutputFile
{
    private static readonly ConcurrentDictionary<string, bool> s_unfinished = [];

    /// <summary>Refuses early, before any work, what could not be written.</summary>
    /// <exception cref="UsageException">The directory does not exist, or the path is a directory or a device.</exception>
    public static void Check(string path)
    {
        if (path.Length == 0) throw new UsageException("--output must name a file, but is empty.");
        string full = Target(path);
        if (Directory.Exists(full)) throw new UsageException($"--output '{path}' is a directory; name a file in it.");
        string? directory = Path.GetDirectoryName(full);
        if (!Directory.Exists(directory)) throw new UsageException($"--output '{path}': there is no directory '{directory}'; create it first.");
        if (full.StartsWith("/dev/", StringComparison.Ordinal) || full.StartsWith("/proc/", StringComparison.Ordinal))
            throw new UsageException($"--output '{path}' is a device; name a regular file.");
    }

    /// <summary>Has <paramref name="write"/> write a temporary file, and gives it its name when that went well.</summary>
    public static void Write(string path, Action<string> write)
    {
        Check(path);
        string target = Target(path);
        string temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        s_unfinished[temporary] = true;
        try
        {
            write(temporary);
            File.Move(temporary, target, overwrite: true);
        }
        finally
        {
            Remove(temporary);
        }
    }

    /// <summary>As <see cref="Write"/>, through a stream.</summary>
    public static void WriteStream(string path, Action<FileStream> write) => Write(path, temporary =>
    {
        using var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 1 << 16);
        write(stream);
    });

    /// <summary>Makes Ctrl-C and a polite kill leave no unfinished file behind.</summary>
    public static IDisposable RemoveWhenInterrupted() =>
        new Registrations(PosixSignalRegistration.Create(PosixSignal.SIGINT, Leave), PosixSignalRegistration.Create(PosixSignal.SIGTERM, Leave));

    private static void Leave(PosixSignalContext context)
    {
        context.Cancel = true;
        foreach (string temporary in s_unfinished.Keys) Remove(temporary);
        // As shells count: 128 and the signal's number.
        Environment.Exit(context.Signal == PosixSignal.SIGINT ? 130 : 143);
    }

    private static void Remove(string temporary)
    {
        s_unfinished.TryRemove(temporary, out _);
        // A writer that is careful itself may have begun a temporary file of the temporary file.
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(temporary)!, Path.GetFileName(temporary) + "*")) File.Delete(file);
    }

    // A link stays one: what it points to is replaced.
    private static string Target(string path) =>
        (File.Exists(path) ? File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName : null) ?? Path.GetFullPath(path);

    private sealed record Registrations(IDisposable First, IDisposable Second) : IDisposable
    {
        public void Dispose()
        {
            First.Dispose();
            Second.Dispose();
        }
    }
}
