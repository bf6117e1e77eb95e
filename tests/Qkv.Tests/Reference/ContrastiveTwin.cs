namespace Qkv.Tests.Reference;

/// <summary>
/// u = x / ‖x‖; S = u·vᵀ / τ between the first half of the rows and the second; loss = mean of −log softmax(S)[i, i] over rows, or half
/// of it and half of the same over columns. Cells of pairs that share a text are left out.
/// </summary>
internal static class ContrastiveTwin
{
    public static double Loss(double[] vectors, int features, ulong[] texts, double temperature, bool symmetric) => Backward(vectors, features, texts, temperature, symmetric).Loss;

    /// <summary>The loss, its gradient, and the largest Σ |dS| of a row or column.</summary>
    public static (double Loss, double[] Gradient, double Mass) Backward(double[] vectors, int features, ulong[] texts, double temperature, bool symmetric)
    {
        int pairs = texts.Length / 2;
        double[][] x = [.. vectors.Chunk(features)];
        double[] lengths = [.. x.Select(row => Math.Sqrt(row.Sum(value => value * value)))];
        double[][] unit = [.. x.Select((row, i) => row.Select(value => value / lengths[i]).ToArray())];
        bool Out(int i, int j) => i != j && (texts[i] == texts[j] || texts[pairs + i] == texts[pairs + j] || texts[i] == texts[pairs + j]);
        double[,] e = new double[pairs, pairs], ds = new double[pairs, pairs];
        for (int i = 0; i < pairs; i++)
            for (int j = 0; j < pairs; j++) e[i, j] = Out(i, j) ? 0 : Math.Exp(Dot(unit[i], unit[pairs + j]) / temperature);
        double loss = 0, share = symmetric ? 0.5 / pairs : 1.0 / pairs;
        for (int i = 0; i < pairs; i++)
        {
            double row = 0, column = 0;
            for (int j = 0; j < pairs; j++) (row, column) = (row + e[i, j], column + e[j, i]);
            loss -= share * Math.Log(e[i, i] / row);
            if (symmetric) loss -= share * Math.Log(e[i, i] / column);
            for (int j = 0; j < pairs; j++)
            {
                double own = i == j ? 1 : 0;
                ds[i, j] += share * (e[i, j] / row - own);
                if (symmetric) ds[j, i] += share * (e[j, i] / column - own);
            }
        }
        var du = new double[2 * pairs][];
        for (int i = 0; i < pairs; i++)
        {
            du[i] = [.. Enumerable.Range(0, features).Select(f => Enumerable.Range(0, pairs).Sum(j => ds[i, j] * unit[pairs + j][f]) / temperature)];
            du[pairs + i] = [.. Enumerable.Range(0, features).Select(f => Enumerable.Range(0, pairs).Sum(j => ds[j, i] * unit[j][f]) / temperature)];
        }
        double[] gradient = [.. du.SelectMany((d, i) => d.Select((value, f) => (value - unit[i][f] * Dot(unit[i], d)) / lengths[i]))];
        double mass = Enumerable.Range(0, pairs).Max(i => Math.Max(Enumerable.Range(0, pairs).Sum(j => Math.Abs(ds[i, j])), Enumerable.Range(0, pairs).Sum(j => Math.Abs(ds[j, i]))));
        return (loss, gradient, mass);
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
}
