using System.CommandLine;

namespace Qkv.App.Training;

/// <summary>The options that name pairs of texts.</summary>
internal static class PairOptions
{
    public const string Format = "tab-separated under a line of names, or .jsonl; .gz is unpacked";

    public static Option<(string Anchor, string Positive)?> Columns() => new("--columns")
    {
        Description = "The two columns: names, or numbers from 1 (default: anchor,positive or sentence1,sentence2 or query,positive or zh,en, else the first two).",
        HelpName = "A,B",
        CustomParser = result =>
        {
            if (result.Tokens[0].Value.Split(',') is [{ Length: > 0 } anchor, { Length: > 0 } positive]) return (anchor, positive);
            result.AddError($"--columns must name two columns, as in zh,en, but is '{result.Tokens[0].Value}'");
            return null;
        },
    };

    public static Option<int?> HoldOut(string description) => Options.Number("--hold-out", 1, description);
}
