using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>The directory that a run writes to: it appears whole, and where it holds a checkpoint, the run goes on.</summary>
internal static class RunDirectory
{
    /// <param name="output">What --output said.</param>
    /// <param name="write">Writes the model that the run starts from into an empty directory.</param>
    /// <returns>The full path.</returns>
    /// <exception cref="UsageException">The directory holds something else, or cannot be made there.</exception>
    public static string Open(string output, Action<string> write)
    {
        string directory = Path.GetFullPath(output);
        if (!Directory.Exists(directory)) Create(output, directory, write);
        else if (!File.Exists(Path.Combine(directory, Checkpoint.FileName)) && Directory.EnumerateFileSystemEntries(directory).Any())
            throw new UsageException($"--output '{output}' is not empty and holds no run to go on with; name another directory.");
        return directory;
    }

    /// <summary>What is killed on the way leaves only a temporary name.</summary>
    private static void Create(string output, string directory, Action<string> write)
    {
        if (!Directory.Exists(Path.GetDirectoryName(directory))) throw new UsageException($"--output '{output}': there is no directory '{Path.GetDirectoryName(directory)}'; create it first.");
        string temporary = $"{directory}.{Guid.NewGuid():N}.tmp";
        Directory.CreateDirectory(temporary);
        try
        {
            write(temporary);
            Directory.Move(temporary, directory);
        }
        finally
        {
            if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
        }
    }
}
