namespace Qkv.Text;

/// <summary>Buffers of one call, kept by the thread for its next: after the first calls nothing is allocated.</summary>
internal sealed class TokenScratch
{
    // Buffers above this many elements (about 10 MB a thread) are given back after the call that needed them.
    private const int Largest = 1 << 20;

    [ThreadStatic]
    private static TokenScratch? t_kept;

    public NormalizedText Text { get; } = new();

    public TokenBuffer First { get; } = new();

    public TokenBuffer Second { get; } = new();

    /// <summary>The thread's buffers, empty. They leave their place while in use, as a caller's buffer writer may tokenize, too.</summary>
    public static TokenScratch Take(bool detailed)
    {
        TokenScratch scratch = t_kept ?? new TokenScratch();
        t_kept = null;
        scratch.Text.Aligned = scratch.First.Detailed = scratch.Second.Detailed = detailed;
        scratch.First.Clear(Largest);
        scratch.Second.Clear(Largest);
        return scratch;
    }

    /// <summary>Back to the thread.</summary>
    public void GiveBack()
    {
        Text.Trim(Largest);
        First.Clear(Largest);
        Second.Clear(Largest);
        t_kept = this;
    }
}
