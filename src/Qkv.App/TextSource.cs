using System.CommandLine;
using Qkv.App.Output;

namespace Qkv.App;

/// <summary>The texts of a verb that takes many: arguments, or the lines of a file, of which only those at work are in memory.</summary>
internal sealed class TextSource(string verb, string description)
{
    // Enough short texts for full batches, few enough that results come soon and memory does not grow with the file.
    private const int Together = 256;

    public Argument<string[]> Texts { get; } = Options.Texts(description, required: false);

    public Option<string?> File { get; } = Options.Text(
        "--input", "FILE|-", "A text a line, UTF-8; - is standard input. A blank line is an empty text, so that the results stand beside the lines.");

    /// <summary>Hands the texts to <paramref name="run"/>, with a progress bar where they are a file's.</summary>
    public int Read(Invocation invocation, ParseResult result, Func<IEnumerable<string>, int> run)
    {
        string[] given = result.GetValue(Texts) ?? [];
        string? path = result.GetValue(File);
        if (given.Length > 0 == path is not null) throw new UsageException($"{verb} needs either texts or --input FILE.");
        if (path is null) return run(given);
        using Stream stream = Input.Open(path, invocation.Terminal);
        using var progress = new Progress(invocation.Terminal, stream.CanSeek ? stream : null);
        return run(progress.Watch(Input.Lines(stream, Input.Name(path))));
    }

    /// <summary>Asks a model about the texts, some at a time, and shows each answer.</summary>
    /// <param name="invocation">This call.</param>
    /// <param name="result">Its arguments.</param>
    /// <param name="pair">The second text of each, or null.</param>
    /// <param name="ask">The answers to some texts.</param>
    /// <param name="show">Prints one.</param>
    public int Ask<T>(Invocation invocation, ParseResult result, string? pair, Func<TextEncoder, string[], IReadOnlyList<T>> ask, Action<string, T> show) => Read(invocation, result, texts =>
    {
        TextEncoder encoder = invocation.LoadEncoder();
        int cut = 0;
        foreach (string[] some in texts.Chunk(Together))
        {
            IReadOnlyList<T> answers = ask(encoder, some);
            for (int i = 0; i < some.Length; i++)
            {
                if (Invocation.Append(encoder, some[i], pair).Truncated) cut++;
                show(some[i], answers[i]);
            }
        }
        invocation.NoteCut(encoder, cut);
        return 0;
    });
}
