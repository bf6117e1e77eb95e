namespace Qkv.App.Output;

/// <summary>A file that is written as a whole or not at all: under a temporary name beside it, then renamed.</summary>
internal static class OutputFile
{
    private static readonly StringComparison s_names = OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase;

    /// <summary>Refuses early, before any work, what could not be written.</summary>
    /// <param name="path">What --output said.</param>
    /// <param name="inputs">Files that are read, which the output must not replace.</param>
    /// <exception cref="UsageException">The directory does not exist, or the path is a directory, a device or an input.</exception>
    public static void Check(string path, params IEnumerable<string?> inputs)
    {
        if (path.Length == 0) throw new UsageException("--output must name a file, but is empty.");
        string full = Target(path);
        if (Directory.Exists(full)) throw new UsageException($"--output '{path}' is a directory; name a file in it.");
        string? directory = Path.GetDirectoryName(full);
        if (!Directory.Exists(directory)) throw new UsageException($"--output '{path}': there is no directory '{directory}'; create it first.");
        if (full.StartsWith("/dev/", StringComparison.Ordinal) || full.StartsWith("/proc/", StringComparison.Ordinal))
            throw new UsageException($"--output '{path}' is a device; name a regular file.");
        if (inputs.Any(input => input != null && string.Equals(Target(input), full, s_names))) throw new UsageException($"--output '{path}' is the input, which would be lost; name another file.");
    }

    /// <summary>Has <paramref name="write"/> write a temporary file, and gives it its name when that went well.</summary>
    public static void Write(string path, Action<string> write)
    {
        Check(path);
        string target = Target(path);
        using var temporary = Unfinished.Beside(target);
        write(temporary.Name);
        temporary.MoveTo(target);
    }

    /// <summary>As <see cref="Write"/>, through a stream.</summary>
    public static void WriteStream(string path, Action<FileStream> write) => Write(path, temporary =>
    {
        using var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 1 << 16);
        write(stream);
    });

    /// <summary>The file itself, whatever links lead to it: a link stays one, and what it points to is replaced.</summary>
    private static string Target(string path)
    {
        string full = Path.GetFullPath(path);
        if (Path.GetDirectoryName(full) is not { } parent) return full;
        string here = Path.Combine(Target(parent), Path.GetFileName(full));
        FileSystemInfo entry = Directory.Exists(here) ? new DirectoryInfo(here) : new FileInfo(here);
        return entry.Exists && entry.ResolveLinkTarget(returnFinalTarget: true) is { } target ? Target(target.FullName) : here;
    }
}
