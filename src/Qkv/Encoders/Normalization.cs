using Qkv.Kernels;

namespace Qkv.Encoders;

/// <summary>The parameters of a LayerNorm: γ (C), β (C) and ε.</summary>
internal sealed unsafe class Normalization
{
    private readonly AlignedBuffer _scaleShift; // γ, then β

    public Normalization(ReadOnlySpan<float> scale, ReadOnlySpan<float> shift, double epsilon)
    {
        Features = scale.Length;
        Epsilon = (float)epsilon;
        _scaleShift = new AlignedBuffer(2 * scale.Length);
        scale.CopyTo(_scaleShift.Span);
        shift.CopyTo(_scaleShift.Span[scale.Length..]);
    }

    public int Features { get; }

    public float Epsilon { get; }

    /// <summary>y = LayerNorm(x), (T, C) → (T, C)</summary>
    public void Forward(float* x, int rows, float* y, int threads)
    {
        LayerNorm.Forward(x, rows, Features, _scaleShift.Pointer, _scaleShift.Pointer + Features, Epsilon, y, threads);
        GC.KeepAlive(this);
    }
}
