using Qkv.Kernels;

namespace Qkv.Tests.Reference;

/// <summary>
/// scores = Q·Kᵀ/√D + mask (H, Lq, Lk), weights = softmax(scores) (H, Lq, Lk), context = weights·V (Lq, H·D); Q is (Lq, H·D),
/// K and V are (Lk, H·D).
/// </summary>
internal sealed record AttentionTwin(double[] Scores, double[] Weights, double[] Context)
{
    public static AttentionTwin Forward(double[] q, double[] k, double[] v, int heads, int headSize, AttentionMask? mask = null)
    {
        mask ??= new AttentionMask();
        int c = heads * headSize, queries = q.Length / c, keys = k.Length / c;
        var scores = new double[heads * queries * keys];
        for (int head = 0; head < heads; head++)
            for (int i = 0; i < queries; i++)
                for (int j = 0; j < keys; j++)
                {
                    double product = 0;
                    for (int d = head * headSize; d < (head + 1) * headSize; d++) product += q[i * c + d] * k[j * c + d];
                    int at = (head * queries + i) * keys + j;
                    scores[at] = IsHidden(mask, i, j, queries, keys) ? double.NegativeInfinity : product / Math.Sqrt(headSize) + Additive(mask, at, queries * keys, keys);
                }

        double[] weights = keys == 0 ? [] : SoftmaxTwin.Forward(scores, keys);
        if (!mask.HeadFactors.IsEmpty)
            for (int at = 0; at < weights.Length; at++) weights[at] *= mask.HeadFactors.Span[at / (queries * keys)];

        var context = new double[queries * c];
        for (int i = 0; i < queries; i++)
            for (int d = 0; d < c; d++)
                for (int j = 0; j < keys; j++) context[i * c + d] += weights[(d / headSize * queries + i) * keys + j] * v[j * c + d];
        return new AttentionTwin(scores, weights, context);
    }

    private static bool IsHidden(AttentionMask mask, int query, int key, int queries, int keys) =>
        (!mask.VisibleKeys.IsEmpty && !mask.VisibleKeys.Span[key]) || (mask.Causal && key > query + keys - queries);

    // (H, Lq, Lk), (Lq, Lk) or (Lk): what is missing in front repeats.
    private static double Additive(AttentionMask mask, int at, int square, int keys)
    {
        int length = mask.Additive.Length;
        return length == 0 ? 0 : mask.Additive.Span[length == keys ? at % keys : length == square ? at % square : at];
    }
}
