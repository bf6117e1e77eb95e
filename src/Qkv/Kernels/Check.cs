namespace Qkv.Kernels;

/// <summary>Checks at the public edge of the kernels: the message names the operation, what it needs and what it got.</summary>
internal static class Check
{
    public static void Length(string operation, string name, long expected, long actual)
    {
        if (actual != expected) throw new ArgumentException($"{operation}: {name} must hold {expected:N0} numbers, but holds {actual:N0}.", name);
    }

    public static void Positive(string operation, string name, int actual)
    {
        if (actual <= 0) throw new ArgumentException($"{operation}: {name} must be positive, but is {actual}.", name);
    }
}
