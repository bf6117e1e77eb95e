using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Qkv.App.Output;

/// <summary>A file or directory under a temporary name, gone when it is disposed of, and when Ctrl-C or a polite kill ends the process.</summary>
internal sealed partial class Unfinished : IDisposable
{
    private static readonly ConcurrentDictionary<string, bool> s_all = [];

    private static volatile bool s_isLeaving;

    private Unfinished(string path) => s_all[Name = path] = true;

    /// <summary>The temporary name.</summary>
    public string Name { get; }

    /// <summary>A name beside a path, where what was written can be given that path.</summary>
    public static Unfinished Beside(string path) => new($"{path}.{Guid.NewGuid():N}.tmp");

    /// <summary>A directory among the system's temporary ones, that only this user can open.</summary>
    public static Unfinished NewDirectory() => new(Directory.CreateTempSubdirectory("qkv-").FullName);

    /// <summary>Makes Ctrl-C, a polite kill and a terminal that closes leave nothing behind.</summary>
    public static IDisposable RemoveWhenInterrupted() => new Registrations(
        [On(PosixSignal.SIGHUP), On(PosixSignal.SIGINT), On(PosixSignal.SIGQUIT), On(PosixSignal.SIGTERM)]);

    /// <summary>To be called where something went wrong: an error that only comes of files that are being taken away is not to be told.</summary>
    public static void WaitIfInterrupted()
    {
        if (s_isLeaving) Thread.Sleep(Timeout.Infinite);
    }

    /// <summary>What went wrong with a temporary name went wrong with the one that it stands for.</summary>
    public static string ByFinalNames(string message) => TemporaryEnd().Replace(message, "");

    /// <summary>Gives what was written, a file or a directory, the name that it was written for.</summary>
    public void MoveTo(string path)
    {
        if (Directory.Exists(Name)) Directory.Move(Name, path);
        else File.Move(Name, path, overwrite: true);
        s_all.TryRemove(Name, out _);
    }

    /// <summary>What cannot be removed stays: that must not hide why it was not finished.</summary>
    public void Dispose()
    {
        if (!s_all.TryRemove(Name, out _)) return;
        try
        {
            Remove(Name);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // As said above.
        }
    }

    private static PosixSignalRegistration On(PosixSignal signal) => PosixSignalRegistration.Create(signal, Leave);

    private static void Leave(PosixSignalContext context)
    {
        context.Cancel = true;
        s_isLeaving = true;
        foreach (string name in s_all.Keys) RemoveWhileWritten(name);
        // 128 and the signal's number, as shells count.
        Environment.Exit(128 + context.Signal switch { PosixSignal.SIGHUP => 1, PosixSignal.SIGINT => 2, PosixSignal.SIGQUIT => 3, _ => 15 });
    }

    /// <summary>A file that appears in a directory while it is being removed keeps it: once more then, and at last it is left.</summary>
    private static void RemoveWhileWritten(string name)
    {
        for (int attempt = 0; attempt < 10; attempt++)
        {
            try
            {
                Remove(name);
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Thread.Sleep(10);
            }
        }
    }

    private static void Remove(string name)
    {
        if (Directory.Exists(name)) Directory.Delete(name, recursive: true);
        // A writer that is careful itself may have begun a temporary file of the temporary file.
        else foreach (string file in Directory.GetFiles(Path.GetDirectoryName(name)!, Path.GetFileName(name) + "*")) File.Delete(file);
    }

    [GeneratedRegex(@"\.[0-9a-f]{32}\.tmp")]
    private static partial Regex TemporaryEnd();

    private sealed record Registrations(PosixSignalRegistration[] All) : IDisposable
    {
        public void Dispose()
        {
            foreach (PosixSignalRegistration registration in All) registration.Dispose();
        }
    }
}
