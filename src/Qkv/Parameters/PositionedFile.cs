using Microsoft.Win32.SafeHandles;
using Qkv.Text;

namespace Qkv.Parameters;

/// <summary>
/// A file read at given positions, by any number of threads at once. It is not memory-mapped: a mapped file that is cut
/// short while it is read kills the process, a read past its end is only an error.
/// </summary>
internal sealed class PositionedFile : IDisposable
{
    private readonly SafeFileHandle _handle;

    public PositionedFile(string path)
    {
        Path = path;
        TextFile.RegularLength(path);
        _handle = File.OpenHandle(path, share: FileShare.Read | FileShare.Delete, options: FileOptions.RandomAccess);
        Length = RandomAccess.GetLength(_handle);
    }

    public string Path { get; }

    /// <summary>The length when it was opened; a file that became shorter since is noticed by <see cref="Read"/>.</summary>
    public long Length { get; }

    /// <summary>Fills the destination with the bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="InvalidDataException">The file ends before the destination is full.</exception>
    public void Read(long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int read = RandomAccess.Read(_handle, destination, offset);
            if (read == 0)
            {
                BadFile.Throw(
                    Path,
                    $"it ends at byte {offset}, where {destination.Length} more were expected; " +
                    "it is truncated or still being written.");
            }

            offset += read;
            destination = destination[read..];
        }
    }

    public void Dispose() => _handle.Dispose();
}
