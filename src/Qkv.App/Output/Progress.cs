using System.Diagnostics;
using System.Globalization;

namespace Qkv.App.Output;

/// <summary>
/// One line about a long run, on a terminal's error stream, from the third second on. The share that is done is how far the input
/// has been read.
/// </summary>
/// <param name="terminal">Where.</param>
/// <param name="input">A file that is being read, or null where its length is not known.</param>
internal sealed class Progress(Terminal terminal, Stream? input) : IDisposable
{
    private const int BarLength = 24;

    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(200);

    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan _next = s_silence;
    private bool _isShown;

    /// <summary>The same texts, counted as they are taken.</summary>
    public IEnumerable<string> Watch(IEnumerable<string> texts)
    {
        long count = 0;
        foreach (string text in texts)
        {
            yield return text;
            count++;
            if (terminal.IsErrorInteractive && Stopwatch.GetElapsedTime(_start) is var elapsed && elapsed >= _next) Show(count, elapsed);
        }
    }

    public void Dispose()
    {
        if (_isShown) terminal.Error.Write("\r\u001b[K");
        terminal.Error.Flush();
    }

    private void Show(long count, TimeSpan elapsed)
    {
        (_next, _isShown) = (elapsed + s_interval, true);
        string line = string.Create(CultureInfo.InvariantCulture, $"{count:N0} texts, {count / elapsed.TotalSeconds:N0} a second");
        if (input is { Length: > 0 })
        {
            double share = (double)input.Position / input.Length;
            int full = (int)(share * BarLength);
            TimeSpan left = elapsed * ((1 - share) / Math.Max(share, 1e-9));
            line = string.Create(CultureInfo.InvariantCulture, $"{new string('━', full)}{new string('╌', BarLength - full)} {share,4:P0}  {line}, {left:h\\:mm\\:ss} left");
        }
        terminal.Error.Write($"\r{line}\u001b[K");
        terminal.Error.Flush();
    }
}
