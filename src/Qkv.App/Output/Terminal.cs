using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Qkv.App.Output;

/// <summary>Where results, messages and input are: the process's streams, or a test's. All text is UTF-8 without a mark, whatever the locale.</summary>
internal sealed class Terminal
{
    /// <summary>The width of what goes into a file or a pipe, where there are no columns to count.</summary>
    public const int PipeWidth = 100;

    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false);

    public Terminal(Stream results, Stream errors, Stream input)
    {
        (Results, Input) = (results, input);
        Text = new StreamWriter(results, s_utf8, bufferSize: 1 << 14) { NewLine = "\n" };
        Error = new StreamWriter(errors, s_utf8) { NewLine = "\n" };
    }

    /// <summary>The results as bytes; <see cref="Text"/> must be flushed before.</summary>
    public Stream Results { get; }

    /// <summary>The results as text.</summary>
    public TextWriter Text { get; }

    /// <summary>Messages.</summary>
    public TextWriter Error { get; }

    public Stream Input { get; }

    /// <summary>Whether a person reads the results.</summary>
    public bool IsInteractive { get; init; }

    /// <summary>Whether a person reads the messages.</summary>
    public bool IsErrorInteractive { get; init; }

    /// <summary>Whether escape codes for colour are welcome.</summary>
    public bool HasColour { get; init; }

    /// <summary>Columns of text that fit side by side.</summary>
    public int Width { get; init; } = PipeWidth;

    public static Terminal OfProcess()
    {
        bool interactive = !Console.IsOutputRedirected;
        return new Terminal(new StandardStream(StandardOutput(), isForMessages: false), new StandardStream(Console.OpenStandardError(), isForMessages: true), Console.OpenStandardInput())
        {
            IsInteractive = interactive,
            IsErrorInteractive = !Console.IsErrorRedirected,
            HasColour = interactive && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")) && Environment.GetEnvironmentVariable("TERM") != "dumb",
            Width = interactive ? WindowSize.Columns() : PipeWidth,
        };
    }

    private static Stream StandardOutput()
    {
        if (OperatingSystem.IsWindows()) return Console.OpenStandardOutput();
        // The console's own stream swallows a broken pipe, so that a long run would go on for nobody. A file must stay with it:
        // FileStream writes at positions of its own, over what others have written.
        var stream = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        return stream.CanSeek ? Console.OpenStandardOutput() : stream;
    }
}
