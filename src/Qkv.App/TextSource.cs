using System.CommandLine;
using Qkv.App.Output;
using Qkv.Text;

namespace Qkv.App;

/// <summary>The texts of a verb that takes many: arguments, or the lines of a file, of which only those at work are in memory.</summary>
internal sealed class TextSource(string verb, string description)
{
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

    /// <summary>Asks a model about the texts, a batch at a time, and shows each answer.</summary>
    /// <param name="invocation">This call.</param>
    /// <param name="result">Its arguments.</param>
    /// <param name="pair">The second text of each, or null.</param>
    /// <param name="ask">The answers to some texts.</param>
    /// <param name="show">Prints one.</param>
    public int Ask<T>(Invocation invocation, ParseResult result, string? pair, Func<TextEncoder, string[], IReadOnlyList<T>> ask, Action<string, T> show) => Read(invocation, result, texts =>
    {
        TextEncoder encoder = invocation.LoadEncoder();
        ask(encoder, []); // Whether the model can, before the first text is there.
        var pending = new List<string>();
        int tokens = 0, cut = 0;
        try
        {
            foreach (string text in texts)
            {
                pending.Add(text);
                Appended read = Invocation.Count(encoder, text, pair);
                if (read.Truncated) cut++;
                if ((tokens += read.Tokens) >= encoder.Model.Encoder.BatchTokens) Answer();
            }
        }
        catch (InvalidDataException) when (pending.Count > 0)
        {
            // A line that cannot be read takes nothing from those before it.
            Answer();
            throw;
        }
        Answer();
        invocation.NoteCut(encoder, cut);
        return 0;

        void Answer()
        {
            string[] some = [.. pending];
            pending.Clear();
            tokens = 0;
            IReadOnlyList<T> answers = ask(encoder, some);
            for (int i = 0; i < some.Length; i++) show(some[i], answers[i]);
        }
    });
}
