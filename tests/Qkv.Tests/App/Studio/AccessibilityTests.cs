using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;

namespace Qkv.Tests.App.Studio;

/// <summary>axe-core finds nothing, in either language and theme, wide or on a phone.</summary>
[Trait("Suite", "Browser")]
public sealed class AccessibilityTests(StudioBrowser studio) : IClassFixture<StudioBrowser>
{
    [Theory]
    [InlineData("en", "light", 1280)]
    [InlineData("zh", "dark", 1280)]
    [InlineData("en", "dark", 360)]
    [InlineData("zh", "light", 360)]
    public async Task Axe_finds_nothing(string language, string theme, int width)
    {
        await using StudioPage page = await studio.OpenAsync($"a={Uri.EscapeDataString("我想吃[MASK]菜鱼")}&lang={language}&theme={theme}", width);
        await page.Page.WaitForSelectorAsync("#experiments .result");
        AxeResult result = await page.Page.RunAxe();
        Assert.Empty(result.Violations.Select(violation => $"{violation.Id}: {violation.Help}\n{string.Join("\n", violation.Nodes.Take(3).Select(node => node.Html))}"));
        // Nothing is wider than the window.
        Assert.Equal(width, await page.Page.EvaluateAsync<int>("() => document.documentElement.scrollWidth"));
    }
}
