using System.Runtime.CompilerServices;
using Qkv.Kernels;

namespace Qkv.Training;

/// <summary>
/// The loss of pairs among each other (MultipleNegativesRanking, Henderson et al. 2017): every anchor a chooses its positive p among all
/// positives of the batch, and in the symmetric form (as CLIP) every positive its anchor as well.
/// <code>
/// u = a / ‖a‖,  v = p / ‖p‖                       (B, C)
/// S = u·vᵀ / τ                                    (B, B), the cosines
/// loss = mean of −log softmax(S)[i, i]            symmetric: ½ of it and ½ of the same of Sᵀ
/// </code>
/// A cell of two pairs that share a text is left out: the other's positive is no wrong answer.
/// </summary>
/// <param name="Temperature">τ</param>
/// <param name="Symmetric">Whether positives choose too.</param>
internal sealed unsafe record ContrastiveLoss(float Temperature = 0.05f, bool Symmetric = true)
{
    /// <summary>Returns the loss; the vectors become their gradients.</summary>
    /// <param name="vectors">(2·B, C): the anchors, then the positives, of any length.</param>
    /// <param name="features">C</param>
    /// <param name="texts">(2·B): equal numbers for equal texts.</param>
    /// <param name="threads">Threads of the team that may work.</param>
    public double Forward(Span<float> vectors, int features, ReadOnlySpan<ulong> texts, int threads)
    {
        int pairs = texts.Length / 2, c = features;
        using var memory = new Rented(4L * pairs * c + 2L * pairs * pairs + 2L * pairs);
        float* unit = memory.Pointer, dunit = unit + 2 * (nint)pairs * c, scores = dunit + 2 * (nint)pairs * c, turned = scores + (nint)pairs * pairs, lengths = turned + (nint)pairs * pairs;
        float* u = unit, v = unit + (nint)pairs * c, du = dunit, dv = dunit + (nint)pairs * c;
        fixed (float* x = vectors)
        {
            Workers.Run(new Normalize(x, c, unit, lengths), 2 * pairs, threads);
            Transpose(v, pairs, c, dunit);
            Product.Run(u, c, 1, dunit, pairs, scores, pairs, pairs, c, pairs, add: false, threads);
            Scale(scores, pairs * pairs);
            Hide(scores, texts);
            if (Symmetric) Transpose(scores, pairs, pairs, turned);
            double loss = Choose(scores, pairs, threads);
            if (Symmetric)
            {
                loss = (loss + Choose(turned, pairs, threads)) / 2; // loss = ½ of S and ½ of Sᵀ
                for (int i = 0; i < pairs; i++)
                    for (int j = 0; j < pairs; j++) scores[(nint)i * pairs + j] = 0.5f * (scores[(nint)i * pairs + j] + turned[(nint)j * pairs + i]);
            }
            Scale(scores, pairs * pairs);
            // S = u·vᵀ / τ, so du = dS·v / τ and dv = dSᵀ·u / τ
            Product.Run(scores, pairs, 1, v, c, du, c, pairs, pairs, c, add: false, threads);
            Product.Run(scores, 1, pairs, u, c, dv, c, pairs, pairs, c, add: false, threads);
            Workers.Run(new NormalizeBackward(unit, dunit, lengths, c, x), 2 * pairs, threads);
            return loss;
        }
    }

    private void Scale(float* x, int count)
    {
        for (int i = 0; i < count; i++) x[i] /= Temperature;
    }

    private static void Hide(float* scores, ReadOnlySpan<ulong> texts)
    {
        int pairs = texts.Length / 2;
        for (int i = 0; i < pairs; i++)
            for (int j = 0; j < pairs; j++)
                if (i != j && (texts[i] == texts[j] || texts[pairs + i] == texts[pairs + j] || texts[i] == texts[pairs + j])) scores[(nint)i * pairs + j] = float.NegativeInfinity;
    }

    /// <summary>Mean cross entropy of the rows against the diagonal; the scores become their gradients.</summary>
    private static double Choose(float* scores, int pairs, int threads)
    {
        int[] targets = new int[pairs];
        for (int i = 0; i < pairs; i++) targets[i] = i;
        fixed (int* t = targets) return CrossEntropy.Forward(scores, pairs, pairs, t, 1f / pairs, threads).Loss / pairs;
    }

    private static void Transpose(float* x, int rows, int columns, float* y)
    {
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) y[(nint)j * rows + i] = x[(nint)i * columns + j];
    }

    /// <summary>u = x / max(‖x‖, 1e-12), a row a part; keeps 1 / ‖x‖.</summary>
    private readonly struct Normalize(float* x, int features, float* unit, float* inverse) : IKernel
    {
        private readonly float* _x = x, _unit = unit, _inverse = inverse;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            float* x = _x + (nint)part * features, u = _unit + (nint)part * features;
            _inverse[part] = 1f / MathF.Max(MathF.Sqrt(Elementwise.Dot<V>(x, x, features)), 1e-12f);
            new ReadOnlySpan<float>(x, features).CopyTo(new Span<float>(u, features));
            Elementwise.Scale<V>(u, features, _inverse[part]);
        }
    }

    /// <summary>u = x / ‖x‖, so dx = (du − u·(u·du)) / ‖x‖: what would only lengthen x changes nothing.</summary>
    private readonly struct NormalizeBackward(float* unit, float* dunit, float* inverse, int features, float* dx) : IKernel
    {
        private readonly float* _unit = unit, _dunit = dunit, _inverse = inverse, _dx = dx;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            float* u = _unit + (nint)part * features, du = _dunit + (nint)part * features, dx = _dx + (nint)part * features;
            float along = Elementwise.Dot<V>(u, du, features);
            new ReadOnlySpan<float>(du, features).CopyTo(new Span<float>(dx, features));
            Elementwise.AddScaled<V>(u, -along, dx, features);
            Elementwise.Scale<V>(dx, features, _inverse[part]);
        }
    }
}
