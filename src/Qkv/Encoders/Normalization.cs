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

    /// <summary>γ (C)</summary>
    public ReadOnlySpan<float> Scale => _scaleShift.Span[..Features];

    /// <summary>β (C)</summary>
    public ReadOnlySpan<float> Shift => _scaleShift.Span[Features..];

    /// <summary>y = LayerNorm(x), (T, C) → (T, C)</summary>
    public void Forward(float* x, int rows, float* y, int threads)
    {
        LayerNorm.Forward(x, rows, Features, _scaleShift.Pointer, _scaleShift.Pointer + Features, Epsilon, y, threads);
        GC.KeepAlive(this);
    }

    /// <summary>γ and β, while they are trained.</summary>
    public (Parameter Scale, Parameter Shift)? Learned { get; init; }

    /// <summary>Forward: y = LayerNorm(x). Backward: dx from dy, dγ and dβ added up; dx must not be dy. <paramref name="moments"/> is scratch (T, 2).</summary>
    public void Backward(float* x, int rows, float* dy, float* dx, float* moments, int threads)
    {
        LayerNorm.Backward(x, rows, Features, _scaleShift.Pointer, Epsilon, dy, dx, Learned!.Value.Scale.Gradient.Pointer, Learned.Value.Shift.Gradient.Pointer, moments, threads);
        GC.KeepAlive(this);
    }

    /// <summary>Takes the parameters again after a step has changed them.</summary>
    public void Refresh()
    {
        Learned!.Value.Scale.Value.Span.CopyTo(_scaleShift.Span);
        Learned.Value.Shift.Value.Span.CopyTo(_scaleShift.Span[Features..]);
    }
}
