namespace Qkv.App.Server;

/// <summary>A request that is answered with an error: one sentence, its kind, and HTTP's status.</summary>
internal sealed class RequestException(int status, string kind, string message) : Exception(message)
{
    public int Status => status;

    /// <summary><c>error_type</c> of the answer.</summary>
    public string Kind => kind;

    /// <summary>What was asked for makes no sense.</summary>
    public static RequestException Invalid(string message) => new(400, "validation", message);

    /// <summary>More than the model or the server takes.</summary>
    public static RequestException TooLarge(string message) => new(413, "too_large", message);
}
