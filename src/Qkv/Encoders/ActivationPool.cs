using Qkv.Parameters;

namespace Qkv.Encoders;

/// <summary>
/// Reusable buffers, one per concurrent call, and no more of them than the machine has processors to compute with: a further
/// call waits. Neither renting nor returning allocates once the buffers have grown.
/// </summary>
internal sealed class ActivationPool(EncoderConfig config, int threads)
{
    // Buffers grow in steps, so that texts of slightly different lengths share them.
    private const int Step = 128;

    private readonly SemaphoreSlim _available = new(Environment.ProcessorCount);
    private readonly Activations[] _free = new Activations[Environment.ProcessorCount];
    private int _count;

    public Activations Rent(int tokens)
    {
        _available.Wait();
        Activations? last = null;
        lock (_free)
            if (_count > 0) last = _free[--_count];
        if (last != null && last.Tokens >= tokens) return last;
        try
        {
            // A buffer that is too small is dropped: soon all are as large as the work needs.
            return Activations.ToRun(config, (tokens + Step - 1) / Step * Step, threads);
        }
        catch
        {
            _available.Release();
            throw;
        }
    }

    public void Return(Activations activations)
    {
        lock (_free) _free[_count++] = activations;
        _available.Release();
    }
}
