using Microsoft.AspNetCore.Http;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.App.Server;

/// <summary>A text and what the model computed for it.</summary>
internal sealed class TracedText : IDisposable
{
    private readonly TraceMemory? _memory;

    /// <param name="encoder">The model.</param>
    /// <param name="tokens">(L)</param>
    /// <param name="interventions">What to do otherwise.</param>
    /// <param name="memory">Where memory is taken from and given back to; null for memory of its own.</param>
    /// <param name="cancellation">Ends the work between two layers.</param>
    public TracedText(TextEncoder encoder, IReadOnlyList<TracedToken> tokens, IReadOnlyList<Intervention> interventions, TraceMemory? memory, CancellationToken cancellation)
    {
        (Tokens, _memory) = (tokens, memory);
        TokenBatch batch = TracedToken.Batch(tokens);
        var changes = Intervention.Combine(encoder.Config, batch, interventions, cancellation);
        AlignedBuffer? kept = memory?.Take();
        try
        {
            Trace = new AttentionTrace(encoder.Model, batch, changes: changes, memory: kept, cancellation: cancellation);
        }
        catch
        {
            if (kept != null) memory!.Return(kept);
            throw;
        }
        if (Elementwise.AreFinite(Trace.HiddenRows)) return;
        Dispose();
        // Where the model lies is nobody's business.
        throw new RequestException(StatusCodes.Status500InternalServerError, "internal", "The model computes NaN or infinities for this text; the embedding of one of its tokens is damaged or too large.");
    }

    /// <summary>(L)</summary>
    public IReadOnlyList<TracedToken> Tokens { get; }

    /// <summary>Of one sequence.</summary>
    public AttentionTrace Trace { get; }

    public void Dispose() => _memory?.Return(Trace.Memory);
}

/// <summary>Memory of traces that have been answered, for the next ones: fresh pages are dear, and this way what the server holds does not grow.</summary>
internal sealed class TraceMemory
{
    // An answer needs two at most (before and after), and two answers are worked on at a time.
    private const int Most = 4;

    // 256 MB: what is larger is left to the garbage collector, so that one long text does not hold it forever.
    private const int LargestKept = 1 << 26;

    private readonly Stack<AlignedBuffer> _free = [];

    public AlignedBuffer? Take()
    {
        lock (_free) return _free.TryPop(out AlignedBuffer? memory) ? memory : null;
    }

    public void Return(AlignedBuffer memory)
    {
        lock (_free)
            if (_free.Count < Most && memory.Length <= LargestKept) _free.Push(memory);
    }
}
