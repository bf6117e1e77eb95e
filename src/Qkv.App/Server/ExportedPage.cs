using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Qkv.App.Server;

/// <summary>
/// The page as one file that needs neither server nor network: its modules joined into one script, its styles inline, and a recorded trace as data
/// (queries, keys, values and hidden states as float32, from which the page computes scores and weights again). It may run nothing but
/// that script: the policy in its head names the script's hash.
/// </summary>
internal sealed partial class ExportedPage
{
    /// <summary>What the file should not be larger than, in bytes; queries, keys, values, hidden states and one head's parameters are in it in any case.</summary>
    public const long Budget = 15_000_000;

    private readonly TextEncoder _encoder;
    private readonly string _model;
    private readonly ExportRequest _request;
    private readonly TraceJson _trace;
    private readonly HeadName _chosen;
    private readonly int _tokens;

    /// <exception cref="RequestException">The request names what is not there.</exception>
    public ExportedPage(TextEncoder encoder, string model, ExportRequest request, TracedText traced)
    {
        (_encoder, _model, _request, _tokens) = (encoder, model, request, traced.Tokens.Count);
        _chosen = request.Parameters ?? new HeadName { Layer = encoder.Config.Layers - 1, Head = 0 };
        HeadParameters.Of(encoder, _chosen);
        foreach (ExperimentRequest experiment in request.Experiments) Experiment.Check(encoder, experiment, traced.Trace);
        _trace = new TraceJson(encoder, model, request with
        {
            Tensors = ["embeddings", "embeddings.word", "embeddings.position", "embeddings.segment", "layers.*.queries", "layers.*.keys", "layers.*.values", "layers.*.output"],
            Maps = [],
            Facts = true,
            Parameters = null,
        }, traced);
    }

    /// <summary>The whole file.</summary>
    /// <param name="pipe">Where it goes.</param>
    /// <param name="memory">For the experiments that are recorded; null for memory of their own.</param>
    /// <param name="cancellation">Ends the writing.</param>
    public async Task WriteAsync(PipeWriter pipe, TraceMemory? memory, CancellationToken cancellation)
    {
        (byte[] before, byte[] after) = s_page.Value;
        pipe.Write(before);
        using (var json = new JsonPipe(pipe, cancellation))
        {
            await WriteDataAsync(json, memory, cancellation);
            await json.FlushAsync();
        }
        pipe.Write(after);
        await pipe.FlushAsync(cancellation);
    }

    private async ValueTask WriteDataAsync(JsonPipe pipe, TraceMemory? memory, CancellationToken cancellation)
    {
        Utf8JsonWriter json = pipe.Json;
        json.WriteStartObject();
        json.WriteBoolean("recorded", true);
        json.WritePropertyName("info");
        ModelInfo.Write(json, _encoder, _model);
        json.WriteNumber("layer", _chosen.Layer);
        json.WriteNumber("head", _chosen.Head);
        if (_request.View is { } view)
        {
            json.WritePropertyName("view");
            view.WriteTo(json);
        }
        await _trace.WriteMembersAsync(pipe);
        json.WriteStartArray("parameters");
        foreach (HeadName head in Heads().Take(HeadsThatFit())) await HeadParameters.Of(_encoder, head).WriteAsync(pipe);
        json.WriteEndArray();
        json.WriteStartArray("experiments");
        foreach (ExperimentRequest request in _request.Experiments)
        {
            json.WriteStartObject();
            RequestJson.Write(json, "request", request);
            json.WritePropertyName("answer");
            using var experiment = new Experiment(_encoder, request, memory, cancellation);
            await experiment.WriteAsync(pipe, _model);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>The chosen head, the others of its layer, and the rest.</summary>
    private IEnumerable<HeadName> Heads() => Enumerable.Range(0, _encoder.Config.Layers)
        .SelectMany(layer => Enumerable.Range(0, _encoder.Config.Heads).Select(head => new HeadName { Layer = layer, Head = head }))
        .OrderBy(name => name == _chosen ? 0 : name.Layer == _chosen.Layer ? 1 : 2);

    private int HeadsThatFit()
    {
        // Facts, names and braces.
        const long rest = 200_000;
        long rows = 1L + 3 + 4 * _encoder.Config.Layers; // embeddings and their summands; Q, K, V and the output of every layer
        long left = Budget - rest - s_page.Value.Before.Length - s_page.Value.After.Length - Base64(rows * _tokens * _encoder.Config.HiddenSize);
        return (int)Math.Max(1, left / (Base64(HeadParameters.Count(_encoder)) + 2_000));
    }

    private static long Base64(long numbers) => numbers * sizeof(float) * 4 / 3;

    // The page around the data, made once.
    private static readonly Lazy<(byte[] Before, byte[] After)> s_page = new(() =>
    {
        (string before, string after) = Build(PageFiles.All.Values.ToDictionary(file => file.Path, file => file.Text));
        return (System.Text.Encoding.UTF8.GetBytes(before), System.Text.Encoding.UTF8.GetBytes(after));
    });

    /// <summary>The page before and after its data.</summary>
    /// <param name="files">Path → text; <c>/index.html</c> names one style sheet and one module.</param>
    /// <exception cref="InvalidOperationException">The page is written in a way that cannot be joined.</exception>
    internal static (string Before, string After) Build(IReadOnlyDictionary<string, string> files)
    {
        string html = files["/index.html"].Replace("\r", "", StringComparison.Ordinal);
        Match sheet = One(StyleSheet(), html, "style sheet"), module = One(Module(), html, "module");
        string style = files[Absolute(sheet)].Replace("\r", "", StringComparison.Ordinal);
        if (style.Contains("</", StringComparison.Ordinal)) throw new InvalidOperationException($"{Absolute(sheet)} has a closing tag in it.");
        string script = ModuleBundle.Join(files, Absolute(module));
        string policy = $"default-src 'none'; script-src '{Hash(script)}'; style-src '{Hash(style)}'; img-src data: blob:; base-uri 'none'; form-action 'none'";

        html = html.Replace(module.Value, "", StringComparison.Ordinal).Replace(sheet.Value, $"<style>{style}</style>", StringComparison.Ordinal);
        html = Preload().Replace(html, "");
        int head = html.IndexOf("<head>", StringComparison.Ordinal) + "<head>".Length, end = html.LastIndexOf("</body>", StringComparison.Ordinal);
        if (head < "<head>".Length || end < 0) throw new InvalidOperationException("The page has no <head> or no </body>.");
        return ($"{html[..head]}\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">{html[head..end]}<script type=\"application/json\" id=\"trace\">",
            $"</script>\n<script>{script}</script>\n{html[end..]}");
    }

    private static Match One(Regex pattern, string html, string what)
    {
        MatchCollection matches = pattern.Matches(html);
        return matches.Count == 1 ? matches[0] : throw new InvalidOperationException($"The page must name one {what}, but names {matches.Count}.");
    }

    private static string Absolute(Match link) => new Uri(new Uri("file:///index.html"), link.Groups["path"].Value).AbsolutePath;

    private static string Hash(string text) => $"sha256-{Convert.ToBase64String(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)))}";

    [GeneratedRegex("""<link\b[^>]*\brel="stylesheet"[^>]*\bhref="(?<path>[^"]+)"[^>]*>""")]
    private static partial Regex StyleSheet();

    [GeneratedRegex("""<script\b[^>]*\btype="module"[^>]*\bsrc="(?<path>[^"]+)"[^>]*>\s*</script>""")]
    private static partial Regex Module();

    [GeneratedRegex("""<link\b[^>]*\brel="modulepreload"[^>]*>\s*""")]
    private static partial Regex Preload();
}
