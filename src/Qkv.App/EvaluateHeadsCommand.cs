using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Output;
using Qkv.Text;

namespace Qkv.App;

/// <summary><c>qkv evaluate heads</c>: where each attention head looks, over the lines of a text.</summary>
internal static class EvaluateHeadsCommand
{
    private const int Lines = 500;

    // A head counts as one that looks somewhere where it looks there this much more than by chance, and with this part of its weight.
    private const double Lift = 2;
    private const double LeastShare = 0.25;

    private static readonly (Look Look, string Name, string Key)[] s_columns =
    [
        (Look.Self, "itself", "self"), (Look.Previous, "previous", "previous"), (Look.Next, "next", "next"), (Look.SameWord, "same word", "same_word"),
        (Look.Punctuation, "punctuation", "punctuation"), (Look.Cls, "[CLS]", "cls"), (Look.Sep, "[SEP]", "sep"),
    ];

    public static Command Create(CommonOptions common)
    {
        var input = new Option<string>("--input") { Description = "Text, a line at a time: UTF-8; - for standard input.", HelpName = "FILE", Required = true };
        Option<int?> lines = Options.Number("--lines", 1, $"Lines that are read at most, blank ones not counted (default: {Lines}).");
        var command = new Command("heads", "Finds what each attention head looks at: the previous token, the same word, punctuation, ….") { input, lines };
        common.Run(command, (invocation, result) => Run(invocation, result.GetRequiredValue(input), result.GetValue(lines) ?? Lines));
        return command;
    }

    private static int Run(Invocation invocation, string input, int lines)
    {
        TextEncoder encoder = invocation.LoadEncoder();
        HeadFacts[] heads = [.. from layer in Enumerable.Range(0, encoder.Config.Layers) from head in Enumerable.Range(0, encoder.Config.Heads) select new HeadFacts(layer, head)];
        using Stream stream = Input.Open(input, invocation.Terminal);
        var batch = new TokenBatch();
        int texts = 0;
        foreach (string line in Input.Lines(stream, Input.Name(input)).Where(line => !string.IsNullOrWhiteSpace(line)).Take(lines))
        {
            Encoding encoding = encoder.Encode(line);
            HeadToken[] tokens = HeadToken.Of(encoding, encoder.Tokenizer.Vocabulary);
            batch.Clear();
            batch.Add(encoding.Ids.AsSpan(), encoding.TypeIds.AsSpan());
            AttentionTrace trace = encoder.Trace(batch);
            foreach (HeadFacts head in heads) head.Add(trace.WeightsOf(0, head.Layer, head.Head), tokens);
            texts++;
        }
        if (texts == 0) throw new InvalidDataException($"{Input.Name(input)} has no text; give a file with a text a line.");
        if (invocation.Json) JsonLineWriter.Write(invocation.Terminal, heads, Write);
        else Print(invocation, heads, texts);
        return 0;
    }

    private static void Print(Invocation invocation, HeadFacts[] heads, int texts)
    {
        Page page = new Page().Line($"Where each head looks: its mean weight in percent, over {texts:N0} texts", Ink.Quiet).Line();
        page.Add("layer head");
        foreach ((_, string name, _) in s_columns) page.Add(name.PadLeft(13));
        page.Line("   distance  entropy");
        foreach (HeadFacts head in heads)
        {
            page.Add($"{head.Layer,5} {head.Head,4}");
            foreach ((Look look, _, _) in s_columns)
                page.Add(string.Create(CultureInfo.InvariantCulture, $"{100 * head.Share(look),13:0.0}"), Stands(head, look) ? Ink.Strong : Ink.Plain);
            page.Line(string.Create(CultureInfo.InvariantCulture, $"{head.Distance,11:0.0}{head.Entropy,9:0.00}"));
        }
        page.Add(" by chance", Ink.Quiet);
        foreach ((Look look, _, _) in s_columns) page.Add(string.Create(CultureInfo.InvariantCulture, $"{100 * heads[0].Chance(look),13:0.0}"), Ink.Quiet);
        page.Line().Line();
        foreach ((Look look, string name, _) in s_columns)
        {
            HeadFacts most = heads.MaxBy(head => head.Share(look))!;
            page.Line(string.Create(CultureInfo.InvariantCulture,
                $"most on {name}: layer {most.Layer}, head {most.Head}: {most.Share(look):p1}, {most.Share(look) / Math.Max(most.Chance(look), 1e-9):0.0} times chance{(Stands(most, look) ? "" : " (no head of its own)")}"));
        }
        page.WriteTo(invocation.Terminal);
    }

    private static bool Stands(HeadFacts head, Look look) => head.Share(look) >= LeastShare && head.Share(look) >= Lift * head.Chance(look);

    private static void Write(Utf8JsonWriter json, HeadFacts[] heads)
    {
        json.WriteStartObject();
        json.WriteStartArray("heads");
        foreach (HeadFacts head in heads)
        {
            json.WriteStartObject();
            json.WriteNumber("layer", head.Layer);
            json.WriteNumber("head", head.Head);
            json.WriteNumber("entropy", head.Entropy);
            json.WriteNumber("distance", head.Distance);
            foreach ((Look look, _, string key) in s_columns) json.WriteNumber(key, head.Share(look));
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartObject("chance");
        foreach ((Look look, _, string key) in s_columns) json.WriteNumber(key, heads[0].Chance(look));
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
