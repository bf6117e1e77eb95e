namespace Qkv.Kernels;

/// <summary>
/// Memory for one call, kept by the thread for its next one: buffers of training steps have the same size each time, and fresh
/// pages are dear. A call inside another has a buffer of its own, as a stack does.
/// </summary>
internal readonly unsafe ref struct Rented : IDisposable
{
    [ThreadStatic]
    private static List<AlignedBuffer>? t_buffers;

    [ThreadStatic]
    private static int t_depth;

    private readonly AlignedBuffer _buffer;

    public Rented(long count)
    {
        List<AlignedBuffer> buffers = t_buffers ??= [];
        // A quarter more, so that slightly longer calls find room, where there is one.
        long room = Math.Max(count, Math.Min(count + count / 4, AlignedBuffer.MaxLength));
        if (buffers.Count == t_depth) buffers.Add(new AlignedBuffer(room));
        else if (buffers[t_depth].Length < count) buffers[t_depth] = new AlignedBuffer(room);
        _buffer = buffers[t_depth++];
    }

    public float* Pointer => _buffer.Pointer;

    public void Dispose() => t_depth--;
}
