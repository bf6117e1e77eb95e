using System.Text.Json;
using Microsoft.Playwright;
using static Qkv.Tests.App.Studio.StudioPage;

namespace Qkv.Tests.App.Studio;

/// <summary>The page in a browser, its numbers against the trace.</summary>
[Trait("Suite", "Browser")]
public sealed class StudioPageTests(StudioBrowser studio) : IClassFixture<StudioBrowser>
{
    private const string Fish = "我想吃酸菜鱼";
    private const int C = 256, D = 64;

    private static string View(string a, string b, string language, int layer, int head, int i, int j) =>
        $"a={Uri.EscapeDataString(a)}&b={Uri.EscapeDataString(b)}&lang={language}&layer={layer}&head={head}&i={i}&j={j}&feature=5";

    [Theory]
    [InlineData("en", Fish, "", 0, 1, 3, 2)]
    [InlineData("zh", Fish, "", 2, 3, 5, 1)]
    [InlineData("en", Fish, "附近有一家四川菜馆", 3, 0, 2, 10)]
    [InlineData("zh", "The cat sat on the [MASK] because it was tired.", "", 1, 2, 4, 6)]
    public async Task Every_number_of_the_nine_sections_is_of_the_trace(string language, string a, string b, int layer, int head, int i, int j)
    {
        await using StudioPage page = await studio.OpenAsync(View(a, b, language, layer, head, i, j));
        AttentionTrace trace = studio.Server.Encoder.Trace(a, b.Length > 0 ? b : null);
        string l = $"layers.{layer}.";
        float[] Of(string name) => trace[name].ToFloats();
        int length = (int)Math.Sqrt(trace.WeightsOf(0, layer, head).Length);
        int HeadRow(int token) => (head * length + token) * D;

        Assert.Equal(language == "zh" ? "zh-CN" : "en", await page.Page.GetAttributeAsync("html", "lang"));
        Assert.Equal(9, await page.Page.Locator("section h2").CountAsync());

        // 1, 2: tokens, head facts.
        JsonElement answer = await studio.Server.PostAsync("/trace", b.Length > 0 ? new { text = a, pair = b, facts = true } : (object)new { text = a, facts = true });
        string[] tokens = [.. answer.GetProperty("tokens").EnumerateArray().Select(token => token.GetProperty("token").GetString()!)];
        Assert.Equal(tokens, await page.Page.Locator(".chip-text").AllTextContentsAsync());
        Assert.Equal(tokens.Length, length);
        JsonElement facts = answer.GetProperty("facts")[layer * 4 + head];
        string[][] shown = await page.TableAsync("#heads");
        Shows(facts.GetProperty("entropy").GetDouble(), shown[0][1]);
        Shows(facts.GetProperty("distance").GetDouble(), shown[1][1]);
        foreach ((string name, int row) in ((string, int)[])[("cls", 2), ("sep", 3), ("self", 4), ("previous", 5), ("next", 6)])
            Shows(facts.GetProperty(name).GetDouble() * 100, shown[row][1]);

        // 3: word + position + segment = sum, then LayerNorm.
        Shows(Of("embeddings.sum")[i * C], await page.TextAsync("#embedding-sum"));
        Shows(Of("embeddings")[i * C], await page.TextAsync("#embedding-normed"));

        // 4: Q, K and V.
        foreach ((string name, string map, int row) in ((string, string, int)[])[("queries", "Q", i), ("keys", "K", j), ("values", "V", j)])
        {
            await page.Page.Locator("#qkv .choice", new PageLocatorOptions { HasTextString = $"{map} ·" }).ClickAsync();
            await page.DrawnAsync();
            Shows(Of(l + name)[HeadRow(row) + 5], await page.TextAsync("#qkv-result"));
        }

        // 5: the products add up as shown, and their sum over √D is the score.
        float[] q = Of(l + "queries"), k = Of(l + "keys");
        await page.Page.ClickAsync(".all-products summary");
        await page.Page.WaitForSelectorAsync(".all-products table");
        string[][] products = await page.TableAsync(".all-products");
        Assert.Equal(D + 1, products.Length);
        for (int f = 0; f < D; f++) Shows((double)q[HeadRow(i) + f] * k[HeadRow(j) + f], products[f][3], units: 1);
        string sum = await page.TextAsync("#score-sum");
        Assert.Equal(Number(sum), products.Take(D).Sum(row => Number(row[3])), 1e-9);
        Shows(Of(l + "scores")[(head * length + i) * length + j] * 8, sum);
        Shows(Of(l + "scores")[(head * length + i) * length + j], await page.TextAsync("#score"));

        // 6: a row of weights, which is 1 as shown.
        string[][] weights = await page.TableAsync("#softmax-table");
        float[] expected = trace.WeightsOf(0, layer, head).Slice(i * length, length).ToArray();
        foreach (string[] row in weights.Where(row => tokens.Contains(row[0])))
            Assert.Contains(expected, weight => Math.Abs(weight - Number(row[3])) <= 1e-4);
        Assert.Equal("1.0000", weights[^1][3]);
        Assert.Equal(1, weights[..^1].Sum(row => Number(row[3])), 1e-9);
        Assert.Equal(Number(weights[^1][2]), weights[..^1].Sum(row => Number(row[2])), 1e-9);

        // 7: the stack adds up to the context; projection + residual, LayerNorm.
        string[][] stack = await page.TableAsync("#context-sum");
        Shows(Of(l + "context")[i * C + head * D + 5], stack[^1][3]);
        Assert.Equal(Number(stack[^1][3]), stack[..^1].Sum(row => Number(row[3])), 1e-9);
        Shows(Of(l + "attention_sum")[i * C], await page.TextAsync("#residual-sum"));
        Shows(Of(l + "attention_output")[i * C], await page.TextAsync("#residual-normed"));
    }

    [Fact]
    public async Task Without_the_root_the_softmax_saturates_and_its_gradient_dies()
    {
        await using StudioPage page = await studio.OpenAsync(View(Fish, "", "en", 0, 1, 3, 2));
        float[] scores = studio.Server.Encoder.Trace(Fish)["layers.0.scores"].ToFloats()[((8 + 3) * 8)..((8 + 4) * 8)];
        double[] raised = [.. scores.Select(score => Math.Exp((score - scores.Max()) * 8))];
        double[] p = [.. raised.Select(one => one / raised.Sum())];
        string[][] compared = await page.TableAsync("#saturation");
        Shows(p.Max(), compared[0][2]);
        Shows(p[2] * (1 - p[2]), compared[2][2]);
        double squares = 0;
        for (int m = 0; m < 8; m++) for (int n = 0; n < 8; n++) squares += Math.Pow((m == n ? p[m] : 0) - p[m] * p[n], 2);
        Shows(Math.Sqrt(squares), compared[3][2]);
        Assert.True(Number(compared[3][2]) < Number(compared[3][1]));

        await page.Page.ClickAsync("label[for=without-root]");
        await page.DrawnAsync();
        string[][] weights = await page.TableAsync("#softmax-table");
        for (int n = 0; n < 8; n++) Shows(p[n], weights[n][3], units: 1);
        Assert.Contains("scaled=0", page.Page.Url);
    }

    [Theory]
    [InlineData("swap_tokens:1:3")]
    [InlineData("permute_keys:1:3")]
    [InlineData("disable_head:0:1")]
    [InlineData("disable_layer:2")]
    [InlineData("hide_token:3")]
    [InlineData("replace_token:3:喝")]
    [InlineData("insert_token:3:不")]
    [InlineData("delete_token:3")]
    [InlineData("temperature:0.25")]
    [InlineData("cross_attention:0")]
    public async Task Experiments_stand_beside_the_unchanged_result(string experiment)
    {
        await using StudioPage page = await studio.OpenAsync(View(Fish, "附近有一家四川菜馆", "zh", 0, 1, 3, 1) + $"&experiment={Uri.EscapeDataString(experiment)}");
        await page.Page.WaitForSelectorAsync("#experiments .result");
        string[] parts = experiment.Split(':');
        var intervention = new Dictionary<string, object> { ["kind"] = parts[0] };
        string[] names = parts[0] switch
        {
            "swap_tokens" or "permute_keys" => ["a", "b"],
            "disable_head" => ["layer", "head"],
            "disable_layer" or "cross_attention" => ["layer"],
            "hide_token" => ["token"],
            "temperature" => ["value"],
            "delete_token" => ["at"],
            _ => ["at", "text"],
        };
        for (int n = 0; n < names.Length; n++) intervention[names[n]] = names[n] == "text" ? parts[n + 1] : double.Parse(parts[n + 1], System.Globalization.CultureInfo.InvariantCulture) is var number && names[n] == "value" ? number : (int)number;
        JsonElement answer = await studio.Server.PostAsync("/experiment", new { text = Fish, pair = "附近有一家四川菜馆", interventions = (object[])[intervention], positions = (int[])[names.Contains("a") ? 1 : 3] });
        Shows(answer.GetProperty("embedding_cosine").GetDouble(), await page.TextAsync("[data-measure=cosine]"));
        JsonElement change = answer.GetProperty("changes")[0];
        string[][] guesses = await page.TableAsync("#experiments .result:first-child .table-scroll");
        foreach ((string side, int column) in ((string, int)[])[("before", 1), ("after", 2)])
        {
            if (change.GetProperty(side).GetArrayLength() == 0) continue;
            JsonElement best = change.GetProperty(side)[0];
            Assert.StartsWith(best.GetProperty("token").GetString()!, guesses[0][column]);
            Assert.EndsWith($"{best.GetProperty("score").GetDouble() * 100:F1} %", guesses[0][column]);
        }
        // Order: with positions and without, both beside the unchanged result.
        Assert.Equal(parts[0] == "swap_tokens" ? 2 : 1, await page.Page.Locator("#experiments .result").CountAsync());
    }

    [Fact]
    public async Task Choosing_a_token_or_a_head_leads_the_page_and_the_link_reproduces_it()
    {
        await using StudioPage page = await studio.OpenAsync($"a={Uri.EscapeDataString(Fish)}&lang=en");
        await page.Page.Locator(".chip").Nth(5).ClickAsync();
        await page.DrawnAsync();
        await page.Page.Locator(".chip").Nth(4).ClickAsync(new LocatorClickOptions { Modifiers = [KeyboardModifier.Shift] });
        await page.DrawnAsync();
        await page.Page.ClickAsync("[data-layer='2'][data-head='3']");
        await page.DrawnAsync();
        float[] scores = studio.Server.Encoder.Trace(Fish)["layers.2.scores"].ToFloats();
        string score = await page.TextAsync("#score");
        Shows(scores[(3 * 8 + 5) * 8 + 4], score);
        string link = await page.Page.InputValueAsync("#view-link");
        Assert.Equal(page.Page.Url, link);

        await using StudioPage second = await studio.OpenAsync(link.Split('#')[1]);
        Assert.Equal(score, await second.TextAsync("#score"));
        Assert.Equal(await page.TextAsync("main"), await second.TextAsync("main"));
    }

    [Fact]
    public async Task Keys_move_in_a_map_and_choose_there()
    {
        await using StudioPage page = await studio.OpenAsync(View(Fish, "", "en", 0, 1, 3, 2));
        ILocator map = page.Page.Locator("#weights .matrix .plot").Last;
        await map.FocusAsync();
        await page.Page.Keyboard.PressAsync("ArrowDown");
        await page.Page.Keyboard.PressAsync("ArrowRight");
        await page.Page.WaitForFunctionAsync("() => [...document.querySelectorAll('#weights .matrix .readout')].at(-1).textContent.startsWith('酸 looks at 吃')");
        await page.Page.Keyboard.PressAsync("Enter");
        await page.DrawnAsync();
        Assert.Contains("&i=4&j=3&", page.Page.Url);
    }

    [Fact]
    public async Task Hovering_a_row_of_X_shows_the_row_of_Q_that_it_makes()
    {
        await using StudioPage page = await studio.OpenAsync(View(Fish, "", "en", 0, 1, 3, 2));
        ILocator x = page.Page.Locator("#qkv .product .plot").First;
        await x.ScrollIntoViewIfNeededAsync();
        LocatorBoundingBoxResult box = (await x.BoundingBoxAsync())!;
        await page.Page.Mouse.MoveAsync(box.X + box.Width / 2, box.Y + box.Height * 6.5f / 8);
        float[] queries = studio.Server.Encoder.Trace(Fish)["layers.0.queries"].ToFloats();
        await page.Page.WaitForFunctionAsync("() => document.querySelector('#qkv .sum-line').textContent.startsWith('Q[鱼, 5]')");
        Shows(queries[(8 + 6) * D + 5], await page.TextAsync("#qkv-result"));
    }

    [Fact]
    public async Task Everything_can_be_kept()
    {
        await using StudioPage page = await studio.OpenAsync(View(Fish, "", "en", 0, 1, 3, 2));
        foreach ((string kind, string name) in ((string, string)[])[("json", "trace.json"), ("safetensors", "trace.safetensors")])
        {
            IDownload download = await page.Page.RunAndWaitForDownloadAsync(() => page.Page.ClickAsync($"[data-kind={kind}]"));
            Assert.Equal(name, download.SuggestedFilename);
            Assert.True(new FileInfo(await download.PathAsync()).Length > 100_000);
        }
        ILocator menus = page.Page.Locator(".save:visible");
        for (int n = 0; n < await menus.CountAsync(); n++)
            foreach (string format in (string[])["SVG", "PNG"])
            {
                await menus.Nth(n).Locator("summary").ClickAsync();
                IDownload picture = await page.Page.RunAndWaitForDownloadAsync(() => menus.Nth(n).GetByText(format, new LocatorGetByTextOptions { Exact = true }).ClickAsync());
                byte[] bytes = await File.ReadAllBytesAsync(await picture.PathAsync(), TestContext.Current.CancellationToken);
                if (format == "SVG") Assert.Equal("svg", System.Xml.Linq.XDocument.Parse(System.Text.Encoding.UTF8.GetString(bytes)).Root!.Name.LocalName);
                else Assert.Equal("\u0089PNG", System.Text.Encoding.Latin1.GetString(bytes, 0, 4));
            }
    }

    [Theory]
    [InlineData("<script>document.title = 'ran'</script>")]
    [InlineData("\"><img src=x onerror=\"document.title = 'ran'\">")]
    public async Task Text_is_never_read_as_html(string text)
    {
        await using StudioPage page = await studio.OpenAsync("lang=en");
        await page.Page.FillAsync("#sentence-a", text);
        await page.Page.PressAsync("#sentence-a", "Enter");
        await page.Page.WaitForFunctionAsync("() => [...document.querySelectorAll('.chip-text')].some(chip => chip.textContent === '<')");
        await page.DrawnAsync();
        Assert.Equal(0, await page.Page.Locator("main img, main script").CountAsync());
        Assert.DoesNotContain("ran", await page.Page.TitleAsync());
        Assert.Equal(text, await page.Page.InputValueAsync("#sentence-a"));
    }

    [Fact]
    public async Task A_refusal_of_the_server_is_shown_in_its_words()
    {
        await using StudioPage page = await studio.OpenAsync("lang=en");
        await page.Page.FillAsync("#sentence-a", string.Concat(Enumerable.Repeat("鱼", 600)));
        await page.Page.PressAsync("#sentence-a", "Enter");
        await page.Page.WaitForFunctionAsync("() => document.querySelector('#tokens .error').textContent.includes('512')");
        // The browser itself complains of an answer that is not 200.
        page.Complaints.RemoveAll(words => words.Contains("Failed to load resource"));
    }
}
