using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>The activation functions of transformers' <c>ACT2FN</c>; functions that differ only in rounding share a name here.</summary>
public enum Activation
{
    /// <summary>x</summary>
    Linear,

    /// <summary>x·Φ(x) = x/2·(1 + erf(x/√2)): <c>gelu</c>, <c>gelu_python</c>.</summary>
    Gelu,

    /// <summary>The tanh approximation of GELU: <c>gelu_new</c>, <c>gelu_fast</c>, <c>gelu_pytorch_tanh</c>.</summary>
    GeluTanh,

    /// <summary>GELU cut to [-10, 10]: <c>gelu_10</c>.</summary>
    Gelu10,

    /// <summary>x·σ(1.702·x): <c>quick_gelu</c>.</summary>
    QuickGelu,

    /// <summary>max(x, 0)</summary>
    Relu,

    /// <summary>max(x, 0)²</summary>
    Relu2,

    /// <summary>min(max(x, 0), 6)</summary>
    Relu6,

    /// <summary>1 / (1 + e⁻ˣ)</summary>
    Sigmoid,

    /// <summary>x·σ(x): <c>silu</c>, <c>swish</c>.</summary>
    Silu,

    /// <summary>tanh x</summary>
    Tanh,

    /// <summary>x·tanh(ln(1 + eˣ))</summary>
    Mish,
}

/// <summary>Activation functions by their Hugging Face names, over rows of numbers.</summary>
public static class ActivationFunctions
{
    private static readonly Dictionary<string, Activation> Names = new()
    {
        ["linear"] = Activation.Linear,
        ["gelu"] = Activation.Gelu,
        ["gelu_python"] = Activation.Gelu,
        ["gelu_new"] = Activation.GeluTanh,
        ["gelu_fast"] = Activation.GeluTanh,
        ["gelu_pytorch_tanh"] = Activation.GeluTanh,
        ["gelu_10"] = Activation.Gelu10,
        ["quick_gelu"] = Activation.QuickGelu,
        ["relu"] = Activation.Relu,
        ["relu2"] = Activation.Relu2,
        ["relu6"] = Activation.Relu6,
        ["sigmoid"] = Activation.Sigmoid,
        ["silu"] = Activation.Silu,
        ["swish"] = Activation.Silu,
        ["tanh"] = Activation.Tanh,
        ["mish"] = Activation.Mish,
    };

    /// <summary>The names that <see cref="Parse"/> knows.</summary>
    public static IReadOnlyCollection<string> Supported => Names.Keys;

    /// <summary>The activation of a <c>config.json</c>.</summary>
    /// <exception cref="ArgumentException">The name is not supported.</exception>
    public static Activation Parse(string name) => Names.TryGetValue(name, out Activation activation)
        ? activation
        : throw new ArgumentException($"The activation '{name}' is not supported; supported are {string.Join(", ", Names.Keys)}.", nameof(name));

    /// <summary>y[i] = activation(x[i]); <paramref name="y"/> may be <paramref name="x"/>.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static unsafe void Apply(Activation activation, ReadOnlySpan<float> x, Span<float> y)
    {
        Check.Length(nameof(ActivationFunctions), nameof(y), x.Length, y.Length);
        fixed (float* source = x, destination = y)
            Workers.Run(new Rows(activation, source, destination, x.Length), 1, 1);
    }

    /// <summary>The loop of <see cref="Apply(Activation, ReadOnlySpan{float}, Span{float})"/> at one width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static unsafe void Apply<V>(Activation activation, float* x, float* y, int count) where V : struct, ISimd<V>
    {
        switch (activation)
        {
            case Activation.Gelu: Simd.Map<V, Gelu>(x, y, count); break;
            case Activation.GeluTanh: Simd.Map<V, GeluTanh>(x, y, count); break;
            case Activation.Gelu10: Simd.Map<V, Gelu10>(x, y, count); break;
            case Activation.QuickGelu: Simd.Map<V, QuickGelu>(x, y, count); break;
            case Activation.Relu: Simd.Map<V, Relu>(x, y, count); break;
            case Activation.Relu2: Simd.Map<V, Relu2>(x, y, count); break;
            case Activation.Relu6: Simd.Map<V, Relu6>(x, y, count); break;
            case Activation.Sigmoid: Simd.Map<V, Sigmoid>(x, y, count); break;
            case Activation.Silu: Simd.Map<V, Silu>(x, y, count); break;
            case Activation.Tanh: Simd.Map<V, Tanh>(x, y, count); break;
            case Activation.Mish: Simd.Map<V, Mish>(x, y, count); break;
            default: Simd.Map<V, Linear>(x, y, count); break;
        }
    }

    private readonly unsafe struct Rows(Activation activation, float* x, float* y, int count) : IKernel
    {
        private readonly float* _x = x, _y = y;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V> => Apply<V>(activation, _x, _y, count);
    }

    private readonly struct Linear : IMap
    {
        public static V Apply<V>(V x) where V : struct, ISimd<V> => x;
    }

    private readonly struct Gelu : IMap
    {
        private const float InverseSqrt2 = 0.707106781f;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> =>
            V.Create(0.5f) * x * (V.Create(1f) + Functions.Erf(x * V.Create(InverseSqrt2)));
    }

    private readonly struct GeluTanh : IMap
    {
        // ½x(1 + tanh u) = x·σ(2u), u = √(2/π)·(x + 0.044715·x³)
        private const float TwoSqrt2OverPi = 1.59576912f;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> =>
            x * Functions.Sigmoid(V.Create(TwoSqrt2OverPi) * V.Fma(V.Create(0.044715f) * x * x, x, x));
    }

    private readonly struct Gelu10 : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => V.Max(V.Create(-10f), V.Min(V.Create(10f), Gelu.Apply(x)));
    }

    private readonly struct QuickGelu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => x * Functions.Sigmoid(V.Create(1.702f) * x);
    }

    private readonly struct Relu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => V.WhereLess(x, V.Create(0f), V.Create(0f), x);
    }

    private readonly struct Relu2 : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V>
        {
            V positive = Relu.Apply(x);
            return positive * positive;
        }
    }

    private readonly struct Relu6 : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => V.WhereLess(V.Create(6f), x, V.Create(6f), Relu.Apply(x));
    }

    private readonly struct Sigmoid : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Sigmoid(x);
    }

    private readonly struct Silu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => x * Functions.Sigmoid(x);
    }

    private readonly struct Tanh : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Tanh(x);
    }

    private readonly struct Mish : IMap
    {
        // With e = eˣ: tanh(ln(1 + e)) = (e² + 2e) / (e² + 2e + 2). Above 20 the quotient is 1 in float32.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V>
        {
            V twenty = V.Create(20f), two = V.Create(2f);
            V e = Functions.Exp(V.WhereLess(twenty, x, twenty, x));
            V n = e * (e + two);
            return x * n / (n + two);
        }
    }
}
