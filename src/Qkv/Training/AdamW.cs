using System.Runtime.CompilerServices;
using Qkv.Encoders;
using Qkv.Kernels;

namespace Qkv.Training;

/// <summary>
/// AdamW (Loshchilov and Hutter 2019), as <c>torch.optim.AdamW</c>, element by element:
/// <code>
/// p −= η·λ·p                      decay, decoupled from the gradient; not for biases and LayerNorms
/// m  = β1·m + (1 − β1)·g
/// v  = β2·v + (1 − β2)·g²
/// p −= η·(m / (1 − β1ᵗ)) / (√(v / (1 − β2ᵗ)) + ε)
/// </code>
/// </summary>
/// <param name="Beta1">β1</param>
/// <param name="Beta2">β2</param>
/// <param name="Epsilon">ε</param>
/// <param name="Decay">λ</param>
internal sealed record AdamW(double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8, double Decay = 0.01)
{
    /// <summary>Whether biases and LayerNorms decay too.</summary>
    public bool DecaysAll { get; init; }

    /// <summary>Changes a parameter by its gradient, multiplied by <paramref name="gradientScale"/>, and clears the gradient.</summary>
    /// <param name="parameter">The parameter.</param>
    /// <param name="step">t, counted from 1.</param>
    /// <param name="rate">η</param>
    /// <param name="gradientScale">What clipping leaves of the gradient.</param>
    /// <param name="threads">Threads of the team that may work.</param>
    public unsafe void Step(Parameter parameter, long step, double rate, float gradientScale, int threads)
    {
        var update = new Update
        {
            P = parameter.Value.Pointer,
            G = parameter.Gradient.Pointer,
            M = parameter.FirstMoment.Pointer,
            V2 = parameter.SecondMoment.Pointer,
            Count = parameter.Count,
            Keep = (float)(1 - rate * (DecaysAll || parameter.Decays ? Decay : 0)),
            Beta1 = (float)Beta1,
            Beta2 = (float)Beta2,
            // Not 1f − 0.999f, which is off by five parts in a hundred thousand.
            Rest1 = (float)(1 - Beta1),
            Rest2 = (float)(1 - Beta2),
            Epsilon = (float)Epsilon,
            Rate = (float)(rate / (1 - Math.Pow(Beta1, step))),
            Correction = (float)(1 / Math.Sqrt(1 - Math.Pow(Beta2, step))),
            GradientScale = gradientScale,
        };
        Workers.Run(update, (parameter.Count + RowParts.Numbers - 1) / RowParts.Numbers, threads);
        GC.KeepAlive(parameter);
    }

    /// <summary>√Σ g² over all parameters: summed in double precision in one order.</summary>
    public static unsafe double GradientNorm(IEnumerable<Parameter> parameters, int threads)
    {
        double sum = 0;
        foreach (Parameter parameter in parameters)
        {
            double[] parts = new double[(parameter.Count + RowParts.Numbers - 1) / RowParts.Numbers];
            fixed (double* sums = parts) Workers.Run(new Squares(parameter.Gradient.Pointer, parameter.Count, sums), parts.Length, threads);
            foreach (double part in parts) sum += part;
        }
        return Math.Sqrt(sum);
    }

    private unsafe struct Update : IKernel
    {
        public float* P, G, M, V2;
        public int Count;
        public float Keep, Beta1, Beta2, Rest1, Rest2, Epsilon, Rate, Correction, GradientScale;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int start = part * RowParts.Numbers, end = Math.Min(start + RowParts.Numbers, Count), whole = start + Simd.Whole<V>(end - start);
            for (int i = start; i < whole; i += V.Width) Apply<V>(i);
            for (int i = whole; i < end; i++) Apply<Scalar>(i);
            new Span<float>(G + start, end - start).Clear();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Apply<V>(int i) where V : struct, ISimd<V>
        {
            V g = V.Load(G + i) * V.Create(GradientScale);
            V m = V.Fma(V.Create(Beta1), V.Load(M + i), V.Create(Rest1) * g);
            V v = V.Fma(V.Create(Beta2), V.Load(V2 + i), V.Create(Rest2) * g * g);
            m.Store(M + i);
            v.Store(V2 + i);
            V denominator = V.Fma(V.Sqrt(v), V.Create(Correction), V.Create(Epsilon));
            V.Fma(V.Load(P + i), V.Create(Keep), V.Create(-Rate) * m / denominator).Store(P + i);
        }
    }

    private readonly unsafe struct Squares(float* g, int count, double* sums) : IKernel
    {
        private readonly float* _g = g;
        private readonly double* _sums = sums;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int start = part * RowParts.Numbers;
            _sums[part] = Elementwise.Dot<V>(_g + start, _g + start, Math.Min(RowParts.Numbers, count - start));
        }
    }
}
