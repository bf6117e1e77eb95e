namespace Qkv.App;

/// <summary>The command was called in a way that it cannot follow: exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
