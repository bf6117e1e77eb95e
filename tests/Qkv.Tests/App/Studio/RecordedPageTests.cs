using Microsoft.Playwright;
using static Qkv.Tests.App.Studio.StudioPage;

namespace Qkv.Tests.App.Studio;

/// <summary>The exported file, opened from the disk without a network.</summary>
[Trait("Suite", "Browser")]
public sealed class RecordedPageTests(StudioBrowser studio) : IClassFixture<StudioBrowser>
{
    private const string Fish = "我想吃酸菜鱼";

    [Fact]
    public async Task It_shows_the_same_numbers_and_the_recorded_experiments()
    {
        await using StudioPage live = await studio.OpenAsync($"a={Uri.EscapeDataString(Fish)}&lang=en&layer=1&head=2&i=3&j=2&feature=7&experiment=hide_token:2");
        await live.Page.WaitForSelectorAsync("#experiments .result");
        IDownload download = await live.Page.RunAndWaitForDownloadAsync(() => live.Page.ClickAsync("[data-kind=html]"));
        string file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.html");
        await download.SaveAsAsync(file);
        try
        {
            await using IBrowserContext context = await studio.Browser.NewContextAsync(new BrowserNewContextOptions { Offline = true });
            await using var page = new StudioPage(context, await context.NewPageAsync());
            var requests = new List<string>();
            page.Page.Request += (_, request) => { if (!request.Url.StartsWith("file:", StringComparison.Ordinal) && !request.Url.StartsWith("data:", StringComparison.Ordinal) && !request.Url.StartsWith("blob:", StringComparison.Ordinal)) requests.Add(request.Url); };
            await page.Page.GotoAsync(new Uri(file).AbsoluteUri);
            await page.DrawnAsync();
            await page.Page.WaitForSelectorAsync("#experiments .result");

            foreach (string place in (string[])["#embedding-sum", "#embedding-normed", "#qkv-result", "#score-sum", "#score", "#residual-sum", "#residual-normed", "[data-measure=cosine]"])
                Shows(await live.NumberAsync(place), await page.TextAsync(place), units: 1);
            foreach (string table in (string[])["#heads", "#softmax-table", "#saturation", "#context-sum", "#experiments .result"])
                SameTable(await live.TableAsync(table), await page.TableAsync(table));
            Assert.Contains("qkv serve", await page.TextAsync("#experiments"));
            Assert.False(await page.Page.IsVisibleAsync(".experiment-form"));

            // Another head and another token, and the other language, without a server.
            await page.Page.ClickAsync("[data-layer='3'][data-head='0']");
            await page.DrawnAsync();
            Shows(studio.Server.Encoder.Trace(Fish)["layers.3.scores"].ToFloats()[3 * 8 + 2], await page.TextAsync("#score"), units: 1);
            await page.Page.ClickAsync("#language-switch");
            await page.DrawnAsync();
            Assert.Equal("zh-CN", await page.Page.GetAttributeAsync("html", "lang"));
            Assert.Empty(requests);
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>The recording's weights are computed again, in double precision: a number may be rounded to the other side.</summary>
    private static void SameTable(string[][] live, string[][] recorded)
    {
        Assert.Equal(live.Select(row => row.Length), recorded.Select(row => row.Length));
        foreach ((string expected, string actual) in live.SelectMany(row => row).Zip(recorded.SelectMany(row => row)))
        {
            if (expected.Contains('.') && actual.Contains('.') && !expected.Any(char.IsLetter)) Shows(Number(expected), actual, units: 1.01);
            else Assert.Equal(expected, actual);
        }
    }
}
