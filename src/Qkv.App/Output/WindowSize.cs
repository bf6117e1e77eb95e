using System.Runtime.InteropServices;

namespace Qkv.App.Output;

/// <summary>How wide the terminal is, asked in a way that writes nothing to it: on Linux <c>Console.WindowWidth</c> sends escape codes first.</summary>
internal static partial class WindowSize
{
    private const int Usual = 80;
    private const int StandardOutput = 1;

    // TIOCGWINSZ of asm-generic/ioctls.h, as x64 and arm64 have it.
    private const nuint GetWindowSize = 0x5413;

    public static int Columns()
    {
        try
        {
            int columns = OperatingSystem.IsLinux()
                ? Control(StandardOutput, GetWindowSize, out Size size) == 0 ? size.Columns : 0
                : Console.WindowWidth;
            return columns > 0 ? columns : Usual;
        }
        catch (IOException)
        {
            return Usual;
        }
    }

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Control(int file, nuint request, out Size size);

    /// <summary>struct winsize</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Size
    {
        public ushort Rows, Columns, Width, Height;
    }
}
