using System.Globalization;
using Microsoft.Playwright;
using Qkv.Tests.App.Server;

namespace Qkv.Tests.App.Studio;

/// <summary>
/// A server and a browser that looks at it. The browser is the one that <c>QKV_BROWSER</c> names (then it must be there), or this machine's
/// Chromium; where there is none the tests are skipped.
/// </summary>
public sealed class StudioBrowser : IAsyncLifetime
{
    private static readonly string[] s_places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public RunningServer Server { get; } = new();

    public IBrowser Browser
    {
        get
        {
            Assert.SkipWhen(_browser == null, "There is no Chromium; install it, or name one in QKV_BROWSER.");
            return _browser!;
        }
    }

    public string Address => Server.Client.BaseAddress!.ToString();

    public async ValueTask InitializeAsync()
    {
        await Server.InitializeAsync();
        string? program = Environment.GetEnvironmentVariable("QKV_BROWSER") ?? s_places.FirstOrDefault(File.Exists);
        if (program == null) return;
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = program,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    public async ValueTask DisposeAsync()
    {
        if (_browser != null) await _browser.DisposeAsync();
        _playwright?.Dispose();
        await Server.DisposeAsync();
    }

    /// <summary>The page with a view, drawn; whatever it complains about fails the test when it is closed.</summary>
    /// <param name="view">What the address says after #.</param>
    /// <param name="width">Of the window, in CSS pixels.</param>
    public async Task<StudioPage> OpenAsync(string view, int width = 1280)
    {
        IBrowserContext context = await Browser.NewContextAsync(new BrowserNewContextOptions { ViewportSize = new ViewportSize { Width = width, Height = 900 }, Locale = "en-US" });
        var page = new StudioPage(context, await context.NewPageAsync());
        await page.Page.GotoAsync($"{Address}#{view}");
        await page.DrawnAsync();
        return page;
    }
}

/// <summary>An open page.</summary>
public sealed class StudioPage : IAsyncDisposable
{
    private readonly IBrowserContext _context;
    private readonly List<string> _complaints = [];

    public StudioPage(IBrowserContext context, IPage page)
    {
        (_context, Page) = (context, page);
        page.SetDefaultTimeout(60_000);
        page.Console += (_, message) => { if (message.Type is "error" or "warning") _complaints.Add(message.Text); };
        page.PageError += (_, error) => _complaints.Add(error);
    }

    public IPage Page { get; }

    /// <summary>What the browser said of the page; a test that expects something takes it out.</summary>
    public List<string> Complaints => _complaints;

    public Task DrawnAsync() => Page.WaitForSelectorAsync("body[data-ready]");

    public async Task<string> TextAsync(string selector) => (await Page.Locator(selector).First.TextContentAsync() ?? "").Trim();

    public async Task<double> NumberAsync(string selector) => Number(await TextAsync(selector));

    /// <summary>The cells of a table, headings of rows included.</summary>
    public Task<string[][]> TableAsync(string selector) => Page.EvaluateAsync<string[][]>(
        "selector => [...document.querySelector(selector).querySelectorAll('tbody tr')].map(row => [...row.children].map(cell => cell.textContent.trim()))", selector);

    /// <summary>A number as the page writes it.</summary>
    public static double Number(string text) => double.Parse(text.Replace('−', '-').Replace(" %", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);

    /// <summary>The shown number is this one, to the digits that are shown.</summary>
    public static void Shows(double expected, string shown, double units = 0.51)
    {
        int digits = shown.Contains('.') ? shown.Replace(" %", "", StringComparison.Ordinal).Length - shown.IndexOf('.') - 1 : 0;
        Assert.True(Math.Abs(Number(shown) - expected) <= units * Math.Pow(10, -digits), $"{shown} is shown for {expected}");
    }

    public async ValueTask DisposeAsync()
    {
        await _context.DisposeAsync();
        Assert.Empty(_complaints);
    }
}
