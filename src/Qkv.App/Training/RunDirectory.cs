using Qkv.App.Output;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>
/// The directory that a run writes to. A new one appears whole, with a first checkpoint: a run that is killed before leaves only a
/// temporary name. Where there is a checkpoint, the run goes on.
/// </summary>
internal sealed class RunDirectory : IDisposable
{
    private readonly Unfinished? _new;

    private RunDirectory(string path, Unfinished? started = null) => (Path, _new) = (path, started);

    /// <summary>Where the run is in the end.</summary>
    public string Path { get; }

    /// <summary>Where its files are until it appears.</summary>
    public string Working => _new?.Name ?? Path;

    /// <param name="output">What --output said.</param>
    /// <param name="write">Writes the model that a new run starts from into an empty directory.</param>
    /// <exception cref="UsageException">The directory holds something else, or cannot be made there.</exception>
    public static RunDirectory Open(string output, Action<string> write)
    {
        if (output.Length == 0) throw new UsageException("--output must name a directory, but is empty.");
        string directory = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(output));
        if (Directory.Exists(directory))
        {
            return File.Exists(System.IO.Path.Combine(directory, Checkpoint.FileName))
                ? new RunDirectory(directory)
                : throw new UsageException($"--output '{output}' is there already and holds no run to go on with; name another directory.");
        }
        string? parent = System.IO.Path.GetDirectoryName(directory);
        if (((string?[])[directory, parent]).FirstOrDefault(File.Exists) is { } file) throw new UsageException($"--output '{output}': '{file}' is a file; name a directory.");
        if (!Directory.Exists(parent)) throw new UsageException($"--output '{output}': there is no directory '{parent}'; create it first.");
        var run = new RunDirectory(directory, Unfinished.Beside(directory));
        try
        {
            Make(run.Working, output);
            write(run.Working);
            return run;
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    private static void Make(string directory, string output)
    {
        try
        {
            Directory.CreateDirectory(directory);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new IOException($"--output '{output}' cannot be made: {e.Message}", e);
        }
    }

    /// <summary>Gives a new directory its name, once everything that can be wrong with the start of the run has been found right.</summary>
    public void Appear(TrainableModel model, string fingerprint)
    {
        if (_new == null) return;
        Checkpoint.Save(Working, model, TrainingState.Start(fingerprint));
        Appear();
    }

    /// <summary>Gives a new directory its name.</summary>
    public void Appear() => _new?.MoveTo(Path);

    public void Dispose() => _new?.Dispose();
}
