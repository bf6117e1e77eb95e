namespace Qkv.App.Server;

/// <summary>A text and what the model computed for it.</summary>
/// <param name="Tokens">(L)</param>
/// <param name="Trace">Of one sequence.</param>
internal sealed record TracedText(IReadOnlyList<TracedToken> Tokens, AttentionTrace Trace)
{
    /// <exception cref="RequestException">The text cannot be traced.</exception>
    public static TracedText Run(TextEncoder encoder, TraceRequest request, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        List<TracedToken> tokens = TracedToken.Read(encoder, request.Text, request.Pair, request.SpecialTokens);
        return new TracedText(tokens, encoder.Trace(TracedToken.Batch(tokens)));
    }
}
