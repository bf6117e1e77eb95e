using System.Text.RegularExpressions;
using Qkv.Tests.Docs;

namespace Qkv.Tests;

/// <summary>The map in ARCHITECTURE.md is true: its paths exist, and dependencies point one way.</summary>
public partial class ArchitectureTests
{
    /// <summary>What each part of the engine may use, besides itself. Files outside the folders are the front door and may use all.</summary>
    private static readonly Dictionary<string, string[]> s_allowed = new()
    {
        ["Kernels"] = [],
        ["Text"] = [],
        ["Parameters"] = ["Kernels", "Text"],
        ["Encoders"] = ["Kernels", "Parameters", "Text"],
        ["Training"] = ["Encoders", "Kernels", "Parameters", "Text"],
    };

    public static TheoryData<string> Parts => [.. s_allowed.Keys];

    private static string Engine => Path.Combine(Document.Root, "src", "Qkv");

    [Fact]
    public void Every_folder_of_the_engine_is_in_the_table() => Assert.Equal(
        s_allowed.Keys.Order(), Directory.GetDirectories(Engine).Select(folder => Path.GetFileName(folder)!).Where(name => name is not ("bin" or "obj")).Order());

    [Theory]
    [MemberData(nameof(Parts))]
    public void A_part_uses_only_what_it_may(string part)
    {
        // The front door's types need no using, so they are looked for by name.
        string[] frontDoor = [.. Sources(Engine, SearchOption.TopDirectoryOnly).SelectMany(file => TypeDeclaration().Matches(Code(file))).Select(match => match.Groups[1].Value).Distinct()];
        Assert.Contains("TextEncoder", frontDoor);
        foreach (string file in Sources(Path.Combine(Engine, part), SearchOption.AllDirectories))
        {
            string code = Code(file);
            foreach (Match match in Reference().Matches(code))
                Assert.True(match.Groups[1].Value == part || s_allowed[part].Contains(match.Groups[1].Value), $"{Path.GetFileName(file)}: {part} must not use {match.Value}.");
            foreach (Match word in Word().Matches(code))
                Assert.False(frontDoor.Contains(word.Value), $"{Path.GetFileName(file)}: {part} must not use {word.Value}, which is built on it.");
        }
    }

    [Fact]
    public void Nothing_in_the_engine_knows_the_command() =>
        Assert.All(Sources(Engine, SearchOption.AllDirectories), file => Assert.DoesNotMatch(@"\bQkv\.App\b", Code(file)));

    [Fact]
    public void Every_path_in_the_map_exists()
    {
        string[] paths = [.. Quoted().Matches(File.ReadAllText(Path.Combine(Document.Root, "ARCHITECTURE.md"))).Select(match => match.Groups[1].Value)];
        Assert.True(paths.Length > 20);
        Assert.All(paths, path => Assert.True(Path.Exists(Path.Combine(Document.Root, path)), $"ARCHITECTURE.md names {path}, which does not exist."));
    }

    private static IEnumerable<string> Sources(string folder, SearchOption depth) =>
        Directory.EnumerateFiles(folder, "*.cs", depth).Where(file => !Generated().IsMatch(Path.GetRelativePath(Engine, file)));

    /// <summary>A source without comments and texts.</summary>
    private static string Code(string file) => CommentOrText().Replace(File.ReadAllText(file), "");

    [GeneratedRegex(@"\bQkv\.(\w+)")]
    private static partial Regex Reference();

    [GeneratedRegex(@"\b(?:class|struct|record|interface|enum)\s+(?:struct\s+)?([A-Z]\w*)")]
    private static partial Regex TypeDeclaration();

    [GeneratedRegex(@"\b[A-Z]\w*")]
    private static partial Regex Word();

    [GeneratedRegex(@"`((?:src|tests|bench|docs|models|\.ci)(?:/[\w./-]*)?)`")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^(bin|obj)[\\/]")]
    private static partial Regex Generated();

    [GeneratedRegex("""//[^\n]*|"(?:\\.|[^"\\\n])*"|/\*.*?\*/""", RegexOptions.Singleline)]
    private static partial Regex CommentOrText();
}
