using System.CommandLine;
using System.Globalization;
using System.IO.Pipelines;
using Qkv.App.Attention;
using Qkv.App.Output;
using Qkv.App.Server;
using Qkv.Text;

namespace Qkv.App;

/// <summary><c>qkv attend</c>: who looks at whom, in a terminal, as JSON, as a picture, as a page or as tensors.</summary>
internal static class AttendCommand
{
    private static readonly string[] s_formats = ["terminal", "json", "svg", "html", "safetensors"];

    /// <param name="Text">The text.</param>
    /// <param name="Pair">The second text of a pair.</param>
    /// <param name="Layer">A number, "all", or null for the last.</param>
    /// <param name="Head">The only head to show, or null.</param>
    /// <param name="SpecialTokens">Whether [CLS] and [SEP] are there.</param>
    /// <param name="Format">One of the formats.</param>
    /// <param name="Output">A file, or null for standard output.</param>
    private sealed record Request(string Text, string? Pair, string? Layer, int? Head, bool SpecialTokens, string Format, string? Output);

    public static Command Create(CommonOptions common)
    {
        var text = new Argument<string>("TEXT") { Description = "The text." };
        Option<string?> pair = Options.Text("--pair", "TEXT", "The second text of a pair.");
        Option<string?> layer = Options.Text("--layer", "I|all", "The layer, counted from 0 (default: the last).");
        Option<int?> head = Options.Number("--head", 0, "The head, counted from 0 (default: the average and the most decided head).");
        Option<bool> bare = Options.Flag("--no-special-tokens", "Leave out [CLS] and [SEP].");
        Option<string?> format = Options.Choice("--format", s_formats, "The form (default: what the output's name ends in, else terminal).");
        Option<string?> output = Options.Text("--output", "FILE", "The file to write (default: standard output).");
        var command = new Command("attend", "Shows how much every token of a text looks at every other.") { text, pair, layer, head, bare, format, output };
        common.Run(command, (invocation, result) => Run(invocation, new Request(
            result.GetRequiredValue(text), result.GetValue(pair), result.GetValue(layer), result.GetValue(head), !result.GetValue(bare),
            Format(result.GetValue(format), result.GetValue(output), invocation.Json), result.GetValue(output))));
        return command;
    }

    private static string Format(string? format, string? output, bool json)
    {
        if (json && format is not (null or "json")) throw new UsageException($"--json and --format {format} contradict each other; give one of them.");
        string fromName = Path.GetExtension(output)?.ToLowerInvariant() is ['.', .. string extension] && s_formats.Contains(extension) ? extension : "terminal";
        return format ?? (json ? "json" : fromName);
    }

    private static int Run(Invocation invocation, Request request)
    {
        if (request.Output is { } file) OutputFile.Check(file);
        if (request.Format == "safetensors" && request.Output is null) throw new UsageException("--format safetensors needs --output FILE.");
        if (request.Format == "safetensors" && request.Head is not null)
            throw new UsageException("--head does not go with --format safetensors, whose tensors hold every head of a layer.");
        if (request.Format == "html" && request.Output is null) throw new UsageException("--format html needs --output FILE.");
        TextEncoder encoder = invocation.LoadEncoder();
        int[] chosen = Layers(request.Layer, encoder.Config.Layers);
        if (request.Head >= encoder.Config.Heads)
            throw new UsageException($"--head must be from 0 to {encoder.Config.Heads - 1}, the heads of this model, but is {request.Head}.");

        Encoding encoding = encoder.Encode(request.Text, request.Pair, request.SpecialTokens);
        if (!encoding.SequenceIds.Any(sequence => sequence is not null)) throw new UsageException("the text has no tokens; give it at least one visible character.");
        invocation.NoteTruncation(encoder, request.Text, request.Pair, request.SpecialTokens);
        if (request.Format == "html")
        {
            SavePage(invocation, encoder, encoding, request, chosen[^1]);
            return 0;
        }
        var batch = new TokenBatch();
        batch.Add(encoding.Ids.AsSpan(), encoding.TypeIds.AsSpan());
        AttentionTrace trace = encoder.Trace(batch);
        if (request.Format == "safetensors")
        {
            string[] only = ["input_ids", "attention_mask", "sequence_lengths", .. chosen.Select(layer => $"layers.{layer}.*")];
            OutputFile.Write(request.Output!, temporary => trace.Save(temporary, only));
            return 0;
        }

        encoder.CheckFinite(trace.HiddenRows, trace.IdsOf(0));
        LayerAttention[] layers = [.. chosen.Select(layer => new LayerAttention(trace, layer))];
        string[] labels = TokenLabels.Of(encoding, encoder.Tokenizer.Vocabulary, encoder.Tokenizer.UnknownId, request.Text, request.Pair);
        switch (request.Format)
        {
            case "json":
                Save(invocation, request.Output, stream =>
                {
                    using var lines = new JsonLineWriter(stream);
                    lines.Write(layers, (json, all) => AttentionJson.Write(json, invocation.ModelName, encoding.Tokens, all, request.Head));
                });
                break;
            case "svg":
                string title = request.Pair is null ? request.Text : $"{request.Text} · {request.Pair}";
                int[] heads = request.Head is { } only ? [only] : [.. Enumerable.Range(0, encoder.Config.Heads)];
                string svg = new AttentionSvg(title, labels).Draw(layers, heads);
                Save(invocation, request.Output, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(svg)));
                break;
            default:
                Page page = Show(invocation, encoder, request, layers, labels);
                if (request.Output is null) page.WriteTo(invocation.Terminal);
                else SavePlain(request.Output, page);
                break;
        }
        return 0;
    }

    /// <summary>The studio's page with this text recorded in it, open at one head: the chosen one, else the most decided.</summary>
    private static void SavePage(Invocation invocation, TextEncoder encoder, Encoding encoding, Request request, int layer)
    {
        using var traced = new TracedText(encoder, TracedToken.Of(encoding), [], null, CancellationToken.None);
        int head = request.Head ?? new LayerAttention(traced.Trace, layer).MostDecided;
        var page = new ExportedPage(encoder, invocation.ModelName, new ExportRequest
        {
            Text = request.Text,
            Pair = request.Pair,
            SpecialTokens = request.SpecialTokens,
            Parameters = new HeadName { Layer = layer, Head = head },
        }, traced);
        OutputFile.WriteStream(request.Output!, stream => page.WriteAsync(PipeWriter.Create(stream), null, CancellationToken.None).GetAwaiter().GetResult());
    }

    private static int[] Layers(string? layer, int count)
    {
        if (layer is null) return [count - 1];
        if (layer == "all") return [.. Enumerable.Range(0, count)];
        return int.TryParse(layer, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < count
            ? [number]
            : throw new UsageException($"--layer must be from 0 to {count - 1}, the layers of this model, or all, but is '{layer}'.");
    }

    private static Page Show(Invocation invocation, TextEncoder encoder, Request request, LayerAttention[] layers, string[] labels)
    {
        var page = new Page();
        page.Add(invocation.ModelName, Ink.Strong)
            .Line($"  {encoder.Config.Layers} layers, {encoder.Config.Heads} heads of D = {encoder.Config.HeadSize}, C = {encoder.Config.HiddenSize}", Ink.Quiet);
        int width = request.Output is null ? invocation.Terminal.Width : Terminal.PipeWidth;
        page.Add(labels.Length == 1 ? "1 token" : $"{labels.Length:N0} tokens", Ink.Strong).Add("  ").Line(DisplayWidth.Cut(string.Join(' ', labels), 3 * width));

        var maps = new AttentionPage(page, labels, width);
        string most = Math.Log(labels.Length).ToString("0.00", CultureInfo.InvariantCulture);
        foreach (LayerAttention layer in layers)
        {
            if (request.Head is null) maps.Add($"layer {layer.Layer}, average of the {layer.Heads} heads", "", layer.Average);
            int head = request.Head ?? layer.MostDecided;
            string entropy = $"mean entropy {layer.Entropies[head].ToString("0.00", CultureInfo.InvariantCulture)} of at most {most}";
            maps.Add($"layer {layer.Layer}, head {head}", request.Head is null ? $"the most decided: {entropy}" : entropy, layer.Head(head));
        }
        string missing = maps.DrawsMaps ? "" : " The map does not fit here: --format svg draws it, --format json has every weight.";
        page.Line().Line("Rows look at columns; every row sums to 1." + missing, Ink.Quiet);
        return page;
    }

    private static void Save(Invocation invocation, string? path, Action<Stream> write)
    {
        invocation.Terminal.Text.Flush();
        if (path is null) write(invocation.Terminal.Results);
        else OutputFile.WriteStream(path, write);
    }

    private static void SavePlain(string path, Page page) => OutputFile.WriteStream(path, stream =>
    {
        using var writer = new StreamWriter(stream) { NewLine = "\n" };
        page.WritePlain(writer);
    });
}
