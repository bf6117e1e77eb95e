namespace Qkv.Tests.Parameters;

internal static class Refusal
{
    /// <summary>The message of the one error that a bad file gives; it must contain every part.</summary>
    public static void Contains(Action action, params string[] parts)
    {
        string message = Assert.Throws<InvalidDataException>(action).Message;
        Assert.All(parts, part => Assert.Contains(part, message));
    }
}
