namespace Qkv.Kernels;

/// <summary>
/// Memory for one call, kept by the thread for its next one: buffers of training steps have the same size each time, and fresh
/// pages are dear.
/// </summary>
internal readonly unsafe ref struct Rented : IDisposable
{
    [ThreadStatic]
    private static AlignedBuffer? t_last;

    private readonly AlignedBuffer _buffer;

    public Rented(long count)
    {
        _buffer = t_last is { } last && last.Length >= count ? last : new AlignedBuffer(count + count / 4);
        t_last = null;
    }

    public float* Pointer => _buffer.Pointer;

    public void Dispose() => t_last = _buffer;
}
