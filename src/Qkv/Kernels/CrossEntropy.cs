using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// The loss of a choice among classes, row by row, and its gradient in one pass:
/// <code>loss = −log softmax(x)[target];   dx = (softmax(x) − onehot(target))·scale</code>
/// With label smoothing ε the target is (1 − ε)·onehot + ε/n. A target below 0 leaves its row out.
/// </summary>
internal static unsafe class CrossEntropy
{
    /// <summary>Turns logits (T, N) into their gradients, in place. Returns Σ loss (unscaled) and how many rows have their largest logit at the target.</summary>
    public static (double Loss, int Correct) Forward(float* logits, int rows, int columns, int* targets, float scale, int threads, float smoothing = 0f)
    {
        double[] perRow = new double[rows];
        byte[] correct = new byte[rows];
        fixed (double* l = perRow)
        fixed (byte* c = correct)
            Workers.Run(new Rows(logits, columns, targets, scale, smoothing, l, c), rows, threads);
        double sum = 0;
        int hits = 0;
        for (int row = 0; row < rows; row++)
        {
            sum += perRow[row];
            hits += correct[row];
        }
        return (sum, hits);
    }

    private readonly struct Rows(float* logits, int columns, int* targets, float scale, float smoothing, double* losses, byte* correct) : IKernel
    {
        private readonly float* _logits = logits;
        private readonly int* _targets = targets;
        private readonly double* _losses = losses;
        private readonly byte* _correct = correct;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            float* x = _logits + (nint)part * columns;
            int target = _targets[part];
            if (target < 0)
            {
                new Span<float>(x, columns).Clear();
                return;
            }
            float max = Softmax.Max<V>(x, columns), hit = x[target];
            float mean = smoothing == 0f ? 0f : Elementwise.Sum<V>(x, columns) / columns;
            float sum = Softmax.ExpSum<V>(x, columns, max, x);
            double logSum = max + Math.Log(sum);
            _losses[part] = logSum - (1 - smoothing) * hit - smoothing * mean;
            _correct[part] = hit == max ? (byte)1 : (byte)0;
            Elementwise.Scale<V>(x, columns, scale / sum);
            if (smoothing != 0f)
                for (int i = 0; i < columns; i++) x[i] -= smoothing / columns * scale;
            x[target] -= (1 - smoothing) * scale;
        }
    }
}
