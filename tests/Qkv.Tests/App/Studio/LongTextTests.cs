using System.Text.Json;
using Microsoft.Playwright;

namespace Qkv.Tests.App.Studio;

/// <summary>512 tokens, as many as the bundled model reads, are as smooth as eight.</summary>
[Trait("Suite", "Browser")]
public sealed class LongTextTests(StudioBrowser studio) : IClassFixture<StudioBrowser>
{
    [Fact]
    public async Task Scrolling_never_waits()
    {
        // Other programs share the caches and the clock, and can only make a task longer: the least disturbed of three times counts.
        (double longest, double script) = await ScrollAsync();
        for (int again = 0; again < 2 && (longest > 50 || script >= 8); again++)
        {
            (double Longest, double Script) times = await ScrollAsync();
            (longest, script) = (Math.Min(longest, times.Longest), Math.Min(script, times.Script));
        }
        Assert.True(longest <= 50, $"The longest task took {longest:F0} ms.");
        Assert.True(script < 8, $"The scripts of a frame took {script:F1} ms (95th percentile).");
    }

    /// <summary>Milliseconds of the longest task, and of the scripts of a frame (95th percentile), from the first thing to scroll to the last.</summary>
    private async Task<(double Longest, double Script)> ScrollAsync()
    {
        await using IBrowserContext context = await studio.Browser.NewContextAsync(new BrowserNewContextOptions { ViewportSize = new ViewportSize { Width = 1280, Height = 900 } });
        IPage page = await context.NewPageAsync();
        page.SetDefaultTimeout(120_000);
        string text = Uri.EscapeDataString(string.Concat(Enumerable.Repeat("我想吃酸菜鱼", 85)));
        await page.GotoAsync($"{studio.Address}#a={text}&lang=en&layer=0&head=1&i=100&j=99");
        // As soon as there is something to scroll: most is still to be drawn.
        await page.WaitForSelectorAsync("#tokens[data-drawn]");

        ICDPSession session = await context.NewCDPSessionAsync(page);
        var events = new List<JsonElement>();
        var complete = new TaskCompletionSource();
        session.Event("Tracing.dataCollected").OnEvent += (_, data) => events.AddRange(data!.Value.GetProperty("value").EnumerateArray().Select(one => one.Clone()));
        session.Event("Tracing.tracingComplete").OnEvent += (_, _) => complete.TrySetResult();
        await session.SendAsync("Tracing.start", new Dictionary<string, object>
        {
            ["transferMode"] = "ReportEvents",
            ["traceConfig"] = new Dictionary<string, object> { ["includedCategories"] = (string[])["toplevel", "devtools.timeline"], ["excludedCategories"] = (string[])["*"] },
        });
        for (int step = 0; step < 150; step++) await page.EvaluateAsync("() => new Promise(done => { scrollBy(0, 90); requestAnimationFrame(done); })");
        await page.WaitForSelectorAsync("body[data-ready]");
        await session.SendAsync("Tracing.end");
        await complete.Task.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        Assert.Equal(512, await page.Locator(".chip").CountAsync());

        // Time of the processor, not of the clock: what other programs of this machine take is not the page's.
        List<(string Name, long Thread, double Time)> whole = [.. events.Where(one => one.GetProperty("ph").GetString() == "X" && one.TryGetProperty("tdur", out _))
            .Select(one => (one.GetProperty("name").GetString()!, one.GetProperty("pid").GetInt64() << 32 | one.GetProperty("tid").GetInt64(), one.GetProperty("tdur").GetDouble() / 1000))];
        long main = whole.Where(one => one.Name == "FireAnimationFrame").GroupBy(one => one.Thread).MaxBy(frames => frames.Count())!.Key;
        double[] scripts = [.. whole.Where(one => one.Thread == main && one.Name == "FireAnimationFrame").Select(one => one.Time).Order()];
        Assert.True(scripts.Length > 100, $"only {scripts.Length} frames");
        return (whole.Where(one => one.Thread == main && one.Name.EndsWith("RunTask", StringComparison.Ordinal)).Max(one => one.Time), scripts[(int)(scripts.Length * 0.95)]);
    }
}
