using System.CommandLine;
using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Output;

namespace Qkv.App;

/// <summary><c>qkv classify</c>: the labels of texts.</summary>
internal static class ClassifyCommand
{
    public static Command Create(CommonOptions common)
    {
        var texts = new TextSource("classify", "Texts; each gives a line of JSON [{label, score}], or a table on a terminal.");
        Option<string?> pair = Options.Text("--pair", "TEXT", "The second text, for models that label pairs.");
        var command = new Command("classify", "Labels texts.") { texts.Texts, texts.File, pair };
        common.Run(command, (invocation, result) =>
        {
            string? second = result.GetValue(pair);
            return texts.Ask(invocation, result, second, (encoder, some) => encoder.Classify([.. some.Select(text => (text, second))]), (text, labels) =>
            {
                if (invocation.DataAsJson) JsonLineWriter.Write(invocation.Terminal, labels, Write);
                else Show(text, labels).WriteTo(invocation.Terminal);
            });
        });
        return command;
    }

    private static void Write(Utf8JsonWriter json, IReadOnlyList<LabelScore> labels)
    {
        json.WriteStartArray();
        foreach (LabelScore label in labels)
        {
            json.WriteStartObject();
            json.WriteString("label", label.Label);
            json.WriteNumber("score", label.Score);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static Page Show(string text, IReadOnlyList<LabelScore> labels)
    {
        Page page = new Page().Line(DisplayWidth.Cut(TokenLabels.Clean(text), 400), Ink.Strong);
        Bars.Add(page, labels.Select(label => (TokenLabels.Clean(label.Label), label.Score)));
        return page.Line();
    }
}
