using Qkv.Kernels;

namespace Qkv.Encoders;

/// <summary>One learned tensor while it is trained: its value, its gradient, and the two moments that AdamW keeps.</summary>
internal sealed unsafe class Parameter
{
    /// <param name="name">Its name in a checkpoint, without the family's prefix.</param>
    /// <param name="shape">Its sizes, outermost first.</param>
    public Parameter(string name, params long[] shape)
    {
        (Name, Shape) = (name, shape);
        long count = shape.Aggregate(1L, (product, size) => product * size);
        Value = new AlignedBuffer(count);
    }

    public string Name { get; }

    public IReadOnlyList<long> Shape { get; }

    public int Count => Value.Length;

    public AlignedBuffer Value { get; }

    /// <summary>The sum of the gradients since the last step.</summary>
    public AlignedBuffer Gradient => field ??= Zeros();

    /// <summary>Where a backward pass adds the gradient, or null for a frozen parameter, which has none.</summary>
    public float* GradientOrNull => IsFrozen ? null : Gradient.Pointer;

    /// <summary>A frozen parameter stays as it is: it has no gradient, no moments and no decay.</summary>
    public bool IsFrozen { get; set; }

    /// <summary>AdamW's running mean of the gradient.</summary>
    public AlignedBuffer FirstMoment => field ??= Zeros();

    /// <summary>AdamW's running mean of the gradient's square.</summary>
    public AlignedBuffer SecondMoment => field ??= Zeros();

    /// <summary>Whether weight decay applies: not to biases and LayerNorms, which have one dimension.</summary>
    public bool Decays => Shape.Count > 1;

    // What a run that only measures never asks for takes no memory.
    private AlignedBuffer Zeros() => new(Count, zeroed: true);
}
