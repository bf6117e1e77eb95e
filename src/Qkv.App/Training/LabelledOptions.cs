using System.CommandLine;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>The options that name labelled data.</summary>
internal static class LabelledOptions
{
    public const string DefaultSeparator = "|";

    public static Option<string> Input(string what) => new("--input")
    {
        Description = $"{what}: tab-separated under a line of names, or .jsonl; .gz is unpacked.",
        HelpName = "FILE",
        Required = true,
    };

    public static Option<string?> TextColumn(TaskKind kind) =>
        Options.Text("--text-column", "NAME", $"The column of the {(kind == TaskKind.Texts ? "text" : "text, its characters separated by spaces")}: a name, or a number from 1 (default: {Defaults(kind).Text}).");

    public static Option<string?> LabelColumn(TaskKind kind) =>
        Options.Text("--label-column", "NAME", $"The column of the {(kind == TaskKind.Texts ? "label" : "tags, one a character")}: a name, or a number from 1 (default: {Defaults(kind).Label}).");

    public static Option<string?> PairColumn() => Options.Text("--pair-column", "NAME", "The column of the second text, where texts are labelled in pairs.");

    public static Option<string?> Separator() => Options.Text("--label-separator", "TEXT", $"What stands between the labels of a text that may have several (default: {DefaultSeparator}).");

    public static LabelledInput Resolve(TaskKind kind, string path, string? textColumn, string? labelColumn, string? pairColumn = null) =>
        new(path, new LabelledColumns(textColumn ?? Defaults(kind).Text, labelColumn ?? Defaults(kind).Label) { Pair = pairColumn });

    private static (string Text, string Label) Defaults(TaskKind kind) => kind == TaskKind.Texts ? ("text", "label") : ("chars", "tags");
}
