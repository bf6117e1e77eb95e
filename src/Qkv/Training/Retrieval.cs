using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>
/// How well each text of a pair finds the other by cosine among all of its kind. A wrong text that is as near as the right one counts as
/// nearer: a model that gives all texts one vector finds nothing.
/// </summary>
internal sealed class Retrieval
{
    // Rows of cosines that are in memory together: it does not grow with the square of the pairs.
    private const int Rows = 256;

    private readonly int[] _forward;
    private readonly int[] _backward;

    private Retrieval(int[] forward, int[] backward, double loss) => (_forward, _backward, Loss) = (forward, backward, loss);

    public int Pairs => _forward.Length;

    /// <summary>Mean −log softmax of the right text's cosine / τ among all, over both directions.</summary>
    public double Loss { get; }

    /// <summary>The share of right texts among the <paramref name="first"/> nearest, both directions.</summary>
    public double RecallAt(int first) => (ForwardRecallAt(first) + BackwardRecallAt(first)) / 2;

    /// <summary>The same, where anchors look for positives.</summary>
    public double ForwardRecallAt(int first) => Share(_forward, first);

    /// <summary>The same, where positives look for anchors.</summary>
    public double BackwardRecallAt(int first) => Share(_backward, first);

    public static Retrieval Of(Encoder encoder, Pooling pooling, IReadOnlyList<PairExample> pairs, float temperature)
    {
        (float[] anchors, float[] positives) = Embed(encoder, pooling, pairs);
        double loss = 0;
        int[] forward = Ranks(anchors, positives, pairs.Count, temperature, encoder.Threads, ref loss);
        int[] backward = Ranks(positives, anchors, pairs.Count, temperature, encoder.Threads, ref loss);
        return new Retrieval(forward, backward, loss / Math.Max(2 * pairs.Count, 1));
    }

    /// <summary>The cosine of each pair.</summary>
    public static double[] Cosines(Encoder encoder, Pooling pooling, IReadOnlyList<PairExample> pairs)
    {
        (float[] anchors, float[] positives) = Embed(encoder, pooling, pairs);
        int c = encoder.Config.HiddenSize;
        return [.. Enumerable.Range(0, pairs.Count).Select(pair =>
        {
            double sum = 0;
            for (int i = pair * c; i < (pair + 1) * c; i++) sum += (double)anchors[i] * positives[i];
            return sum;
        })];
    }

    /// <summary>How many are at least as near to each query as the right one, besides it.</summary>
    internal static unsafe int[] Ranks(float[] queries, float[] candidates, int count, float temperature, int threads, ref double loss)
    {
        if (count == 0) return [];
        int c = queries.Length / count;
        var ranks = new int[count];
        var turned = new float[candidates.Length];
        for (int i = 0; i < count; i++)
            for (int j = 0; j < c; j++) turned[j * count + i] = candidates[i * c + j];
        var scores = new float[(long)Rows * count];
        var targets = new int[Rows];
        fixed (float* q = queries, k = turned, s = scores)
        fixed (int* t = targets)
        {
            for (int first = 0; first < count; first += Rows)
            {
                int rows = Math.Min(Rows, count - first);
                Product.Run(q + (nint)first * c, c, 1, k, count, s, count, rows, c, count, add: false, threads);
                for (int row = 0; row < rows; row++)
                {
                    float* x = s + (nint)row * count;
                    float right = x[targets[row] = first + row];
                    // Written so that NaN finds nothing.
                    for (int i = 0; i < count; i++)
                    {
                        if (!(x[i] < right) && i != first + row) ranks[first + row]++;
                        x[i] /= temperature;
                    }
                }
                loss += CrossEntropy.Forward(s, rows, count, t, 1f, threads).Loss;
            }
        }
        return ranks;
    }

    private static unsafe (float[] Anchors, float[] Positives) Embed(Encoder encoder, Pooling pooling, IReadOnlyList<PairExample> pairs)
    {
        return (Of(pair => pair.Anchor), Of(pair => pair.Positive));

        float[] Of(Func<PairExample, int[]> side)
        {
            int c = encoder.Config.HiddenSize;
            var batch = new TokenBatch();
            foreach (PairExample pair in pairs) batch.Add(side(pair));
            var vectors = new float[(long)pairs.Count * c];
            fixed (float* output = vectors)
            {
                var receiver = new PoolingReceiver(pooling, normalize: true, c, c, output, encoder.Threads);
                encoder.Forward(batch, ref receiver);
            }
            return vectors;
        }
    }

    private static double Share(int[] ranks, int first) => (double)ranks.Count(rank => rank < first) / Math.Max(ranks.Length, 1);
}
