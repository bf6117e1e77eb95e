using Qkv.Tests.Docs;

namespace Qkv.Tests;

/// <summary>The public API is one approved file, so that a change of it is seen in review.</summary>
public class PublicApiTests
{
    [Fact]
    public void Is_the_approved_one()
    {
        string path = Path.Combine(Document.Root, "tests", "Qkv.Tests", "PublicApi.txt");
        string actual = PublicApi.Describe(typeof(TextEncoder).Assembly);
        if (Environment.GetEnvironmentVariable("QKV_APPROVE") == "1") File.WriteAllText(path, actual);
        string[] approved = File.Exists(path) ? File.ReadAllText(path).ReplaceLineEndings("\n").TrimEnd('\n').Split('\n') : [];
        string[] current = actual.TrimEnd('\n').Split('\n');
        if (approved.SequenceEqual(current)) return;
        int at = approved.Zip(current).TakeWhile(pair => pair.First == pair.Second).Count();
        Assert.Fail($"""
            The public API is not what tests/Qkv.Tests/PublicApi.txt says. They part at line {at + 1}:
              approved: {approved.ElementAtOrDefault(at)?.Trim() ?? "(end)"}
              now:      {current.ElementAtOrDefault(at)?.Trim() ?? "(end)"}
            If the change is meant, run the tests once with QKV_APPROVE=1, which rewrites the file, and commit it.
            """);
    }
}
