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
    private static readonly (string Name, Activation Activation)[] Names =
    [
        ("linear", Activation.Linear),
        ("gelu", Activation.Gelu),
        ("gelu_python", Activation.Gelu),
        ("gelu_new", Activation.GeluTanh),
        ("gelu_fast", Activation.GeluTanh),
        ("gelu_pytorch_tanh", Activation.GeluTanh),
        ("gelu_10", Activation.Gelu10),
        ("quick_gelu", Activation.QuickGelu),
        ("relu", Activation.Relu),
        ("relu2", Activation.Relu2),
        ("relu6", Activation.Relu6),
        ("sigmoid", Activation.Sigmoid),
        ("silu", Activation.Silu),
        ("swish", Activation.Silu),
        ("tanh", Activation.Tanh),
        ("mish", Activation.Mish),
    ];

    /// <summary>The names that <see cref="Parse"/> knows.</summary>
    public static IReadOnlyCollection<string> Supported => Array.ConvertAll(Names, one => one.Name);

    /// <summary>The activation of a <c>config.json</c>.</summary>
    /// <exception cref="ArgumentException">The name is not supported.</exception>
    public static Activation Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        foreach ((string known, Activation activation) in Names)
            if (known == name) return activation;
        throw new ArgumentException($"The activation '{name}' is not supported; supported are {string.Join(", ", Supported)}.", nameof(name));
    }

    internal static void CheckNamed(string operation, Activation activation)
    {
        if ((uint)activation > (uint)Activation.Mish) throw new ArgumentException($"{operation}: there is no activation {(int)activation}.", nameof(activation));
    }

    /// <summary>y[i] = activation(x[i]); <paramref name="y"/> may be <paramref name="x"/>.</summary>
    /// <exception cref="ArgumentException">The lengths differ, or there is no such activation.</exception>
    public static unsafe void Apply(Activation activation, ReadOnlySpan<float> x, Span<float> y)
    {
        CheckNamed(nameof(ActivationFunctions), activation);
        Check.Length(nameof(ActivationFunctions), nameof(y), x.Length, y.Length);
        fixed (float* source = x, destination = y)
            Apply(activation, source, destination, x.Length, Workers.Limit);
    }

    /// <summary>y = activation(x), cut for the thread team.</summary>
    internal static unsafe void Apply(Activation activation, float* x, float* y, nint count, int threads) =>
        Workers.Run(new Parts(activation, x, y, count), (int)((count + RowParts.Numbers - 1) / RowParts.Numbers), threads);

    /// <summary>The loop of <see cref="Apply(Activation, ReadOnlySpan{float}, Span{float})"/> at one width, over rows.</summary>
    internal static unsafe void Apply<V>(Activation activation, float* x, nint xStride, float* y, nint yStride, int rows, int count) where V : struct, ISimd<V>
    {
        switch (activation)
        {
            case Activation.Gelu: Simd.Map<V, Gelu>(x, xStride, y, yStride, rows, count); break;
            case Activation.GeluTanh: Simd.Map<V, GeluTanh>(x, xStride, y, yStride, rows, count); break;
            case Activation.Gelu10: Simd.Map<V, Gelu10>(x, xStride, y, yStride, rows, count); break;
            case Activation.QuickGelu: Simd.Map<V, QuickGelu>(x, xStride, y, yStride, rows, count); break;
            case Activation.Relu: Simd.Map<V, Relu>(x, xStride, y, yStride, rows, count); break;
            case Activation.Relu2: Simd.Map<V, Relu2>(x, xStride, y, yStride, rows, count); break;
            case Activation.Relu6: Simd.Map<V, Relu6>(x, xStride, y, yStride, rows, count); break;
            case Activation.Sigmoid: Simd.Map<V, Sigmoid>(x, xStride, y, yStride, rows, count); break;
            case Activation.Silu: Simd.Map<V, Silu>(x, xStride, y, yStride, rows, count); break;
            case Activation.Tanh: Simd.Map<V, Tanh>(x, xStride, y, yStride, rows, count); break;
            case Activation.Mish: Simd.Map<V, Mish>(x, xStride, y, yStride, rows, count); break;
            default: Simd.Map<V, Linear>(x, xStride, y, yStride, rows, count); break;
        }
    }

    /// <summary>dx[i] = dy[i]·activation'(x[i]), where y = activation(x); <paramref name="dx"/> may be <paramref name="dy"/>.</summary>
    /// <exception cref="ArgumentException">The lengths differ, or there is no such activation.</exception>
    public static unsafe void Backward(Activation activation, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx)
    {
        CheckNamed(nameof(ActivationFunctions), activation);
        Check.Length(nameof(ActivationFunctions), nameof(dy), x.Length, dy.Length);
        Check.Length(nameof(ActivationFunctions), nameof(dx), x.Length, dx.Length);
        fixed (float* source = x, upper = dy, lower = dx)
            Backward(activation, source, upper, lower, x.Length, Workers.Limit);
    }

    /// <summary>The loop of <see cref="Backward(Activation, ReadOnlySpan{float}, ReadOnlySpan{float}, Span{float})"/>, cut for the thread team.</summary>
    internal static unsafe void Backward(Activation activation, float* x, float* dy, float* dx, nint count, int threads) =>
        Workers.Run(new Derivatives(activation, x, dy, dx, count), (int)((count + RowParts.Numbers - 1) / RowParts.Numbers), threads);

    private readonly unsafe struct Derivatives(Activation activation, float* x, float* dy, float* dx, nint count) : IKernel
    {
        private readonly float* _x = x, _dy = dy, _dx = dx;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            nint start = (nint)part * RowParts.Numbers;
            int length = (int)Math.Min(RowParts.Numbers, count - start);
            float* x = _x + start, dy = _dy + start, dx = _dx + start;
            switch (activation)
            {
                case Activation.Gelu: Multiply<V, Gelu>(x, dy, dx, length); break;
                case Activation.GeluTanh: Multiply<V, GeluTanh>(x, dy, dx, length); break;
                case Activation.Gelu10: Multiply<V, Gelu10>(x, dy, dx, length); break;
                case Activation.QuickGelu: Multiply<V, QuickGelu>(x, dy, dx, length); break;
                case Activation.Relu: Multiply<V, Relu>(x, dy, dx, length); break;
                case Activation.Relu2: Multiply<V, Relu2>(x, dy, dx, length); break;
                case Activation.Relu6: Multiply<V, Relu6>(x, dy, dx, length); break;
                case Activation.Sigmoid: Multiply<V, Sigmoid>(x, dy, dx, length); break;
                case Activation.Silu: Multiply<V, Silu>(x, dy, dx, length); break;
                case Activation.Tanh: Multiply<V, Tanh>(x, dy, dx, length); break;
                case Activation.Mish: Multiply<V, Mish>(x, dy, dx, length); break;
                default: Multiply<V, Linear>(x, dy, dx, length); break;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Multiply<V, TActivation>(float* x, float* dy, float* dx, int count)
            where V : struct, ISimd<V> where TActivation : struct, IActivation
        {
            int whole = Simd.Whole<V>(count);
            for (int i = 0; i < whole; i += V.Width) (V.Load(dy + i) * TActivation.Derivative(V.Load(x + i))).Store(dx + i);
            for (int i = whole; i < count; i++) (Scalar.Load(dy + i) * TActivation.Derivative(Scalar.Load(x + i))).Store(dx + i);
        }
    }

    /// <summary>y = f(x) with its derivative f'(x).</summary>
    private interface IActivation : IMap
    {
        static abstract V Derivative<V>(V x) where V : struct, ISimd<V>;
    }

    private readonly unsafe struct Parts(Activation activation, float* x, float* y, nint count) : IKernel
    {
        private readonly float* _x = x, _y = y;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            nint start = (nint)part * RowParts.Numbers;
            Apply<V>(activation, _x + start, 0, _y + start, 0, 1, (int)Math.Min(RowParts.Numbers, count - start));
        }
    }

    private readonly struct Linear : IActivation
    {
        public static V Apply<V>(V x) where V : struct, ISimd<V> => x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V> => V.Create(1f);
    }

    private readonly struct Gelu : IActivation
    {
        private const float InverseSqrt2 = 0.707106781f;
        private const float InverseSqrt2Pi = 0.398942280f;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V>
        {
            // x·erf(x/√2) is the same for x and −x: no sign has to be carried along.
            V magnitude = V.Abs(x);
            return V.Create(0.5f) * V.Fma(magnitude, Functions.ErfOfMagnitude(magnitude * V.Create(InverseSqrt2)), x);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V> =>
            // d/dx x·Φ(x) = Φ(x) + x·φ(x)
            V.Fma(x * V.Create(InverseSqrt2Pi), Functions.Exp(V.Create(-0.5f) * x * x),
                V.Fma(V.Create(0.5f), Functions.Erf(x * V.Create(InverseSqrt2)), V.Create(0.5f)));
    }

    private readonly struct GeluTanh : IActivation
    {
        // ½x(1 + tanh u) = x·σ(2u), u = √(2/π)·(x + 0.044715·x³)
        private const float TwoSqrt2OverPi = 1.59576912f;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> =>
            x * Functions.Sigmoid(V.Create(TwoSqrt2OverPi) * V.Fma(V.Create(0.044715f) * x * x, x, x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V>
        {
            // d/dx x·σ(2u) = s + x·s·(1 − s)·2u', 2u' = 2√(2/π)·(1 + 3·0.044715·x²)
            V s = Functions.Sigmoid(V.Create(TwoSqrt2OverPi) * V.Fma(V.Create(0.044715f) * x * x, x, x));
            V slope = V.Create(TwoSqrt2OverPi) * V.Fma(V.Create(3f * 0.044715f) * x, x, V.Create(1f));
            return V.Fma(x * s * (V.Create(1f) - s), slope, s);
        }
    }

    private readonly struct Gelu10 : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => V.Max(V.Create(-10f), V.Min(V.Create(10f), Gelu.Apply(x)));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V>
        {
            // Constant outside the cut
            V y = Gelu.Apply(x), zero = V.Create(0f);
            return V.WhereLess(V.Create(10f), y, zero, V.WhereLess(y, V.Create(-10f), zero, Gelu.Derivative(x)));
        }
    }

    private readonly struct QuickGelu : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => x * Functions.Sigmoid(V.Create(1.702f) * x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V>
        {
            // d/dx x·σ(ax) = s + a·x·s·(1 − s)
            V s = Functions.Sigmoid(V.Create(1.702f) * x);
            return V.Fma(V.Create(1.702f) * x * s, V.Create(1f) - s, s);
        }
    }

    private readonly struct Relu : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => V.WhereLess(x, V.Create(0f), V.Create(0f), x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V> => V.WhereLess(V.Create(0f), x, V.Create(1f), V.Create(0f));
    }

    private readonly struct Relu2 : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V>
        {
            V positive = Relu.Apply(x);
            return positive * positive;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V> => V.Create(2f) * Relu.Apply(x);
    }

    private readonly struct Relu6 : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => V.WhereLess(V.Create(6f), x, V.Create(6f), Relu.Apply(x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V> => V.WhereLess(x, V.Create(6f), Relu.Derivative(x), V.Create(0f));
    }

    private readonly struct Sigmoid : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Sigmoid(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V>
        {
            V s = Functions.Sigmoid(x);
            return s * (V.Create(1f) - s);
        }
    }

    private readonly struct Silu : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => x * Functions.Sigmoid(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V>
        {
            // d/dx x·σ(x) = s + x·s·(1 − s)
            V s = Functions.Sigmoid(x);
            return V.Fma(x * s, V.Create(1f) - s, s);
        }
    }

    private readonly struct Tanh : IActivation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<V>(V x) where V : struct, ISimd<V> => Functions.Tanh(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V>
        {
            V y = Functions.Tanh(x);
            return V.Create(1f) - y * y;
        }
    }

    private readonly struct Mish : IActivation
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

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Derivative<V>(V x) where V : struct, ISimd<V>
        {
            // With t = tanh(ln(1 + eˣ)): t + x·(1 − t²)·σ(x)
            V twenty = V.Create(20f), two = V.Create(2f);
            V e = Functions.Exp(V.WhereLess(twenty, x, twenty, x));
            V n = e * (e + two), t = n / (n + two);
            return V.Fma(x * (V.Create(1f) - t * t), Functions.Sigmoid(x), t);
        }
    }
}
