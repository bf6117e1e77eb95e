using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Output;

namespace Qkv.App;

/// <summary><c>qkv ner</c>: the entities of texts.</summary>
internal static class NerCommand
{
    public static Command Create(CommonOptions common)
    {
        var texts = new TextSource(
            "ner", "Texts; each gives a line of JSON [{entity_group, score, word, start, end}] with start and end in code points, or a table on a terminal.");
        var command = new Command("ner", "Finds the entities of texts.") { texts.Texts, texts.File };
        common.Run(command, (invocation, result) => texts.Ask(invocation, result, pair: null, (encoder, some) => encoder.Entities(some), (text, entities) =>
        {
            if (invocation.DataAsJson) JsonLineWriter.Write(invocation.Terminal, (text, entities), Write);
            else Show(text, entities).WriteTo(invocation.Terminal);
        }));
        return command;
    }

    private static void Write(Utf8JsonWriter json, (string Text, IReadOnlyList<Entity> Entities) row)
    {
        json.WriteStartArray();
        foreach (Entity entity in row.Entities)
        {
            json.WriteStartObject();
            json.WriteString("entity_group", entity.Group);
            json.WriteNumber("score", entity.Score);
            json.WriteString("word", entity.Word);
            json.WriteNumber("start", CodePoints.Before(row.Text, entity.Start));
            json.WriteNumber("end", CodePoints.Before(row.Text, entity.End));
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static Page Show(string text, IReadOnlyList<Entity> entities)
    {
        Page page = new Page().Line(DisplayWidth.Cut(TokenLabels.Clean(text), 400), Ink.Strong);
        if (entities.Count == 0) page.Line("  no entities", Ink.Quiet);
        foreach (Entity entity in entities)
            page.Add($"  {DisplayWidth.Left(TokenLabels.Clean(entity.Group), 8)}  ").Add(entity.Score.ToString("0.0000", CultureInfo.InvariantCulture), Ink.Quiet)
                .Line($"  {TokenLabels.Clean(entity.Word)}");
        return page.Line();
    }
}
