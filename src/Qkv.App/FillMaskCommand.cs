using System.CommandLine;
using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Output;

namespace Qkv.App;

/// <summary><c>qkv fill-mask</c>: the most likely tokens in place of each mask.</summary>
internal static class FillMaskCommand
{
    private const int DefaultTop = 5;

    public static Command Create(CommonOptions common)
    {
        var text = new Argument<string>("TEXT") { Description = "A text with [MASK] where a token is to be guessed." };
        Option<int?> top = Options.Number("--top", 1, $"Guesses for each mask (default: {DefaultTop}).");
        var command = new Command("fill-mask", "Guesses the tokens that a text leaves out.") { text, top };
        common.Run(command, (invocation, result) => Run(invocation, result.GetRequiredValue(text), result.GetValue(top) ?? DefaultTop));
        return command;
    }

    private static int Run(Invocation invocation, string text, int top)
    {
        TextEncoder encoder = invocation.LoadEncoder();
        IReadOnlyList<IReadOnlyList<TokenPrediction>> masks = encoder.FillMask(text, top);
        invocation.NoteTruncation(encoder, text);
        if (invocation.Json) JsonLineWriter.Write(invocation.Terminal, masks, Write);
        else Show(text, masks).WriteTo(invocation.Terminal);
        return 0;
    }

    private static void Write(Utf8JsonWriter json, IReadOnlyList<IReadOnlyList<TokenPrediction>> masks)
    {
        json.WriteStartArray();
        foreach (IReadOnlyList<TokenPrediction> mask in masks) WriteGuesses(json, mask);
        json.WriteEndArray();
    }

    /// <summary><c>[{token, id, score}]</c></summary>
    public static void WriteGuesses(Utf8JsonWriter json, IReadOnlyList<TokenPrediction> guesses)
    {
        json.WriteStartArray();
        foreach (TokenPrediction guess in guesses)
        {
            json.WriteStartObject();
            json.WriteString("token", guess.Token);
            json.WriteNumber("id", guess.Id);
            json.WriteNumber("score", guess.Score);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static Page Show(string text, IReadOnlyList<IReadOnlyList<TokenPrediction>> masks)
    {
        Page page = new Page().Line(DisplayWidth.Cut(TokenLabels.Clean(text), 400), Ink.Strong);
        for (int mask = 0; mask < masks.Count; mask++)
        {
            page.Line();
            if (masks.Count > 1) page.Line($"mask {mask + 1} of {masks.Count}", Ink.Quiet);
            Bars.Add(page, masks[mask].Select(guess => (TokenLabels.Clean(guess.Token), guess.Score)));
        }
        return page;
    }
}
