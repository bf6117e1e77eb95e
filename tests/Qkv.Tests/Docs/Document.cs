using System.Globalization;
using System.Text.RegularExpressions;

namespace Qkv.Tests.Docs;

/// <summary>
/// A Markdown file whose fenced blocks are kept true: a block under <c>&lt;!-- numbers: NAME --&gt;</c> is recomputed, one under
/// <c>&lt;!-- code: NAME --&gt;</c> is a region of a test. With QKV_APPROVE=1 in the environment the blocks are rewritten instead of compared.
/// </summary>
internal sealed partial class Document(string relativePath)
{
    private readonly string _path = Path.Combine(Root, relativePath);

    /// <summary>The repository: the nearest folder above with the solution in it.</summary>
    public static string Root { get; } = FindRoot();

    public void Check(string kind, string name, string expected)
    {
        string text = File.ReadAllText(_path).ReplaceLineEndings("\n");
        Match block = Regex.Match(text, $"<!-- {kind}: {Regex.Escape(name)} -->\n```\\w*\n(.*?)```", RegexOptions.Singleline);
        Assert.True(block.Success, $"{relativePath} has no block '{kind}: {name}'.");
        expected = expected.ReplaceLineEndings("\n").TrimEnd() + "\n";
        if (Environment.GetEnvironmentVariable("QKV_APPROVE") == "1")
        {
            Group body = block.Groups[1];
            File.WriteAllText(_path, text[..body.Index] + expected + text[(body.Index + body.Length)..]);
            return;
        }
        AssertSame(name, expected, block.Groups[1].Value);
    }

    /// <summary>The lines of a source file between "begin NAME" and "end NAME", without their indentation.</summary>
    public static string Region(string relativePath, string name)
    {
        string source = File.ReadAllText(Path.Combine(Root, relativePath)).ReplaceLineEndings("\n");
        Match region = Regex.Match(source, $"// begin {name}\n(.*?)\n *// end {name}", RegexOptions.Singleline);
        return string.Join('\n', region.Groups[1].Value.Split('\n').Select(line => line.Length >= 8 ? line[8..] : line));
    }

    // SIMD levels round differently in the seventh digit, and a last decimal that sits on the edge may tip over.
    private static void AssertSame(string name, string expected, string actual)
    {
        Assert.True(Number().Replace(expected, "#") == Number().Replace(actual, "#"), $"Block '{name}' should read:\n{expected}");
        foreach ((Match right, Match found) in Number().Matches(expected).Zip(Number().Matches(actual)))
            Assert.True(Math.Abs(Value(right) - Value(found)) < 1.1 * Math.Pow(10, right.Value.IndexOf('.', StringComparison.Ordinal) + 1 - right.Length), $"Block '{name}' says {found.Value}, but it is {right.Value}:\n{expected}");
    }

    private static double Value(Match match) => double.Parse(match.Value.Replace('−', '-'), CultureInfo.InvariantCulture);

    [GeneratedRegex(@"[-−]?\d*\.\d+")]
    private static partial Regex Number();

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder != null && !File.Exists(Path.Combine(folder.FullName, "Qkv.slnx"))) folder = folder.Parent;
        return folder?.FullName ?? throw new DirectoryNotFoundException("The tests must run from inside the repository.");
    }
}
