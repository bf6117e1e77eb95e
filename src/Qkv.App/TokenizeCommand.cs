using System.CommandLine;
using Qkv.App.Output;
using Qkv.App.Tokens;
using Qkv.Text;

namespace Qkv.App;

/// <summary><c>qkv tokenize</c>: texts as tokens, with everything known about them.</summary>
internal static class TokenizeCommand
{
    public static Command Create(CommonOptions common)
    {
        Argument<string[]> texts = Options.Texts("Texts.", required: false);
        Option<string?> pair = Options.Text("--pair", "TEXT", "The second text of a pair, for each TEXT.");
        Option<string?> input = Options.Text("--input", "FILE.jsonl", "JSON Lines: strings, or objects {text, pair?}; - is standard input.");
        var options = new TokenizeOptions();
        var command = new Command("tokenize", "Turns texts into tokens: a line of JSON each, or a table on a terminal. Nothing is cut unless asked.")
        {
            texts, pair, input,
        };
        foreach (Option option in options.All) command.Add(option);
        common.Run(command, (invocation, result) =>
        {
            string[] given = result.GetValue(texts) ?? [];
            string? path = result.GetValue(input);
            if (given.Length > 0 == path is not null) throw new UsageException("tokenize needs either texts or --input FILE.jsonl.");
            if (path is not null && result.GetValue(pair) is not null) throw new UsageException("--pair does not go with --input, whose rows have their own pairs.");
            Tokenizer tokenizer = invocation.LoadTokenizer();
            EncodeOptions encode = options.Read(result, tokenizer, isPair: result.GetValue(pair) is not null, hasInput: path is not null);
            return path is null
                ? Run(invocation, tokenizer, [.. given.Select(text => (text, result.GetValue(pair)))], encode)
                : RunFile(invocation, tokenizer, path, encode);
        });
        return command;
    }

    private static int Run(Invocation invocation, Tokenizer tokenizer, (string Text, string? Pair)[] rows, EncodeOptions options)
    {
        IReadOnlyList<Encoding> encodings = tokenizer.EncodeBatch(rows, options);
        for (int row = 0; row < rows.Length; row++)
            if (invocation.DataAsJson) JsonLineWriter.Write(invocation.Terminal, encodings[row], EncodingJson.Write);
            else TokenTable.Of(encodings[row], rows[row].Text, rows[row].Pair).WriteTo(invocation.Terminal);
        return 0;
    }

    /// <summary>A row that cannot be cut as asked becomes a line {"error"}, and does not keep the others from their results.</summary>
    private static int RunFile(Invocation invocation, Tokenizer tokenizer, string path, EncodeOptions options)
    {
        using Stream stream = Input.Open(path, invocation.Terminal);
        IEnumerable<TextRow> rows = JsonLines.Read(stream, Input.Name(path));
        invocation.Terminal.Text.Flush();
        using var lines = new JsonLineWriter(invocation.Terminal.Results);
        int all = 0, failed = 0;
        foreach ((Encoding? encoding, string? error) in options.Padding == Padding.Longest ? Together(tokenizer, rows, options) : OneByOne(tokenizer, rows, options))
        {
            all++;
            if (encoding is not null) lines.Write(encoding, EncodingJson.Write);
            else
            {
                failed++;
                lines.Write(error!, EncodingJson.WriteError);
            }
        }
        return failed == 0 ? 0 : throw new InvalidOperationException($"{failed} of {all} rows could not be tokenized as asked; their lines say why.");
    }

    private static IEnumerable<(Encoding?, string?)> OneByOne(Tokenizer tokenizer, IEnumerable<TextRow> rows, EncodeOptions options) =>
        rows.Select(row => Try(tokenizer, row, options));

    /// <summary>All rows are one batch, padded to the longest of those that can be tokenized.</summary>
    private static IEnumerable<(Encoding?, string?)> Together(Tokenizer tokenizer, IEnumerable<TextRow> rows, EncodeOptions options)
    {
        TextRow[] all = [.. rows];
        string?[] errors = [.. all.Select(row => Try(tokenizer, row, options).Error)];
        IReadOnlyList<Encoding> encodings = tokenizer.EncodeBatch(
            [.. all.Where((_, row) => errors[row] is null).Select(row => (row.Text, row.Pair))], options);
        int next = 0;
        foreach (string? error in errors) yield return error is null ? (encodings[next++], null) : (null, error);
    }

    private static (Encoding? Encoding, string? Error) Try(Tokenizer tokenizer, TextRow row, EncodeOptions options)
    {
        try
        {
            return (tokenizer.Encode(row.Text, row.Pair, options), null);
        }
        catch (ArgumentException e)
        {
            return (null, e.Message);
        }
    }
}
