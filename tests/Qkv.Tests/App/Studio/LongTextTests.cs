using Microsoft.Playwright;

namespace Qkv.Tests.App.Studio;

/// <summary>512 tokens, as many as the bundled model reads, are as smooth as eight.</summary>
[Trait("Suite", "Browser")]
public sealed class LongTextTests(StudioBrowser studio) : IClassFixture<StudioBrowser>
{
    // A task that is really too long is too long every time; one that was only interrupted by the machine is not.
    private const int Attempts = 3;

    [Fact]
    public async Task Scrolling_never_waits()
    {
        string text = Uri.EscapeDataString(string.Concat(Enumerable.Repeat("我想吃酸菜鱼", 85)));
        double longest = 0, script = 0;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            (longest, script) = await ScrollAsync(text);
            if (longest <= 50 && script < 8) return;
        }
        Assert.Fail($"The longest task took {longest:F0} ms, and the 95th percentile of the script time of a frame is {script:F1} ms.");
    }

    /// <summary>The longest task in ms, and the 95th percentile of what scripts take between two frames, in ms of the processor's time.</summary>
    private async Task<(double Longest, double Script)> ScrollAsync(string text)
    {
        await using IBrowserContext context = await studio.Browser.NewContextAsync(new BrowserNewContextOptions { ViewportSize = new ViewportSize { Width = 1280, Height = 900 } });
        IPage page = await context.NewPageAsync();
        ICDPSession session = await context.NewCDPSessionAsync(page);
        await session.SendAsync("Performance.enable", new Dictionary<string, object> { ["timeDomain"] = "threadTicks" });
        await page.GotoAsync($"{studio.Address}#a={text}&lang=en&layer=0&head=1&i=100&j=99");
        // As soon as there is something to scroll: most is still to be drawn.
        await page.WaitForSelectorAsync("#tokens[data-drawn]", new PageWaitForSelectorOptions { Timeout = 120_000 });
        await page.EvaluateAsync("() => { globalThis.longTasks = []; new PerformanceObserver(list => longTasks.push(...list.getEntries().map(task => task.duration))).observe({ type: 'longtask' }); }");
        var times = new List<double>();
        double before = await ScriptAsync();
        for (int step = 0; step < 150; step++)
        {
            await page.EvaluateAsync("() => new Promise(done => { scrollBy(0, 90); requestAnimationFrame(done); })");
            double now = await ScriptAsync();
            times.Add((now - before) * 1000);
            before = now;
        }
        await page.WaitForSelectorAsync("body[data-ready]", new PageWaitForSelectorOptions { Timeout = 120_000 });
        Assert.Equal(512, await page.Locator(".chip").CountAsync());
        double longest = await page.EvaluateAsync<double>("() => Math.max(0, ...longTasks)");
        times.Sort();
        return (longest, times[(int)(times.Count * 0.95)]);

        async Task<double> ScriptAsync() => (await session.SendAsync("Performance.getMetrics"))!.Value.GetProperty("metrics").EnumerateArray()
            .Single(metric => metric.GetProperty("name").GetString() == "ScriptDuration").GetProperty("value").GetDouble();
    }
}
