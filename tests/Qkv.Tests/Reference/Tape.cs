using System.Numerics;
using Qkv.Kernels;
using Qkv.Training;

namespace Qkv.Tests.Reference;

/// <summary>A matrix of a computation on a <see cref="Tape{T}"/>, and the gradient of the loss by it.</summary>
internal sealed class Node<T>(T[] values, int columns) where T : struct, IFloatingPointIeee754<T>
{
    public T[] Values => values;

    public T[] Gradient { get; } = new T[values.Length];

    public int Columns => columns;

    public int Rows => values.Length / columns;
}

/// <summary>
/// Every operation that is trained, as plain loops forward and backward. A computation is written down as it runs and read upward for
/// the gradients. In double precision it is the truth (and itself held to central differences and to PyTorch's float64); in float32 it
/// is the plain implementation that ours may err twice as much as.
/// </summary>
internal sealed class Tape<T> where T : struct, IFloatingPointIeee754<T>
{
    private readonly Stack<Action> _upward = new();

    public static Node<T> Of(IEnumerable<float> numbers, int columns) => new([.. numbers.Select(T.CreateTruncating)], columns);

    /// <summary>Fills the gradients of everything that led to a loss (1, 1).</summary>
    public void Backward(Node<T> loss)
    {
        loss.Gradient[0] = T.One;
        while (_upward.TryPop(out Action? step)) step();
    }

    /// <summary>y = x·Wᵀ + b</summary>
    public Node<T> Linear(Node<T> x, Node<T> w, Node<T> b)
    {
        int inputs = x.Columns, outputs = w.Rows;
        var y = new Node<T>(new T[x.Rows * outputs], outputs);
        for (int row = 0; row < x.Rows; row++)
            for (int output = 0; output < outputs; output++)
            {
                T sum = T.Zero;
                for (int input = 0; input < inputs; input++) sum += x.Values[row * inputs + input] * w.Values[output * inputs + input];
                y.Values[row * outputs + output] = sum + b.Values[output];
            }
        _upward.Push(() =>
        {
            for (int row = 0; row < x.Rows; row++)
                for (int output = 0; output < outputs; output++)
                {
                    T dy = y.Gradient[row * outputs + output];
                    b.Gradient[output] += dy;
                    for (int input = 0; input < inputs; input++)
                    {
                        w.Gradient[output * inputs + input] += dy * x.Values[row * inputs + input];
                        x.Gradient[row * inputs + input] += dy * w.Values[output * inputs + input];
                    }
                }
        });
        return y;
    }

    /// <summary>a + b</summary>
    public Node<T> Add(Node<T> a, Node<T> b) => Map(a.Values.Zip(b.Values, (x, y) => x + y), a.Columns, y => i =>
    {
        a.Gradient[i] += y.Gradient[i];
        b.Gradient[i] += y.Gradient[i];
    });

    /// <summary>x·f with what dropout draws for its rows.</summary>
    public unsafe Node<T> Drop(Node<T> x, Dropout dropout)
    {
        if (!dropout.IsOn) return x;
        var factors = new float[x.Values.Length];
        fixed (float* f = factors)
            for (int row = 0; row < x.Rows; row++) dropout.Factors((ulong)row, 0, x.Columns, f + row * x.Columns);
        return Map(x.Values.Zip(factors, (value, factor) => value * T.CreateTruncating(factor)), x.Columns, y => i => x.Gradient[i] += y.Gradient[i] * T.CreateTruncating(factors[i]));
    }

    /// <summary>activation(x)</summary>
    public Node<T> Activate(Activation activation, Node<T> x) => Map(
        x.Values.Select(value => T.CreateTruncating(ActivationTwin.Forward(activation, double.CreateTruncating(value)))), x.Columns,
        y => i => x.Gradient[i] += y.Gradient[i] * ActivationTwin.Derivative(activation, x.Values[i]));

    /// <summary>(x − mean) / √(variance + ε) · γ + β</summary>
    public Node<T> LayerNorm(Node<T> x, Node<T> gamma, Node<T> beta, double epsilon)
    {
        int columns = x.Columns;
        T count = T.CreateTruncating(columns);
        var y = new Node<T>(new T[x.Values.Length], columns);
        T[] normalized = new T[x.Values.Length], inverse = new T[x.Rows];
        for (int row = 0; row < x.Rows; row++)
        {
            ReadOnlySpan<T> values = x.Values.AsSpan(row * columns, columns);
            T mean = T.Zero, variance = T.Zero;
            foreach (T value in values) mean += value / count;
            foreach (T value in values) variance += (value - mean) * (value - mean) / count;
            inverse[row] = T.One / T.Sqrt(variance + T.CreateTruncating(epsilon));
            for (int i = 0; i < columns; i++)
            {
                normalized[row * columns + i] = (values[i] - mean) * inverse[row];
                y.Values[row * columns + i] = normalized[row * columns + i] * gamma.Values[i] + beta.Values[i];
            }
        }
        _upward.Push(() =>
        {
            for (int row = 0; row < x.Rows; row++)
            {
                T sum = T.Zero, product = T.Zero;
                for (int i = 0; i < columns; i++)
                {
                    T dy = y.Gradient[row * columns + i], n = normalized[row * columns + i];
                    gamma.Gradient[i] += dy * n;
                    beta.Gradient[i] += dy;
                    sum += dy * gamma.Values[i];
                    product += dy * gamma.Values[i] * n;
                }
                for (int i = 0; i < columns; i++)
                    x.Gradient[row * columns + i] += (y.Gradient[row * columns + i] * gamma.Values[i] - sum / count - normalized[row * columns + i] * product / count) * inverse[row];
            }
        });
        return y;
    }

    /// <summary>
    /// softmax(Q·Kᵀ/√D + bias)∘factor · V of packed sequences: bias and factor by sequence, head, query and key; a bias of −∞ hides a key.
    /// </summary>
    public Node<T> Attention(Node<T> q, Node<T> k, Node<T> v, int heads, int[] queryStarts, int[] keyStarts, Func<int, int, int, int, double> bias, Func<int, int, int, int, double> factor)
    {
        int c = q.Columns, size = c / heads;
        var context = new Node<T>(new T[q.Values.Length], c);
        T root = T.One / T.Sqrt(T.CreateTruncating(size));
        for (int sequence = 0; sequence + 1 < queryStarts.Length; sequence++)
            for (int head = 0; head < heads; head++)
                for (int query = queryStarts[sequence]; query < queryStarts[sequence + 1]; query++)
                    Row(sequence, head, query, keyStarts[sequence], keyStarts[sequence + 1] - keyStarts[sequence]);
        return context;

        void Row(int sequence, int head, int query, int firstKey, int keys)
        {
            int At(int token, int d) => token * c + head * size + d;
            T[] scores = new T[keys], w = new T[keys], f = new T[keys];
            for (int key = 0; key < keys; key++)
            {
                T product = T.Zero;
                for (int d = 0; d < size; d++) product += q.Values[At(query, d)] * k.Values[At(firstKey + key, d)];
                scores[key] = product * root + T.CreateTruncating(bias(sequence, head, query - queryStarts[sequence], key));
                f[key] = T.CreateTruncating(factor(sequence, head, query - queryStarts[sequence], key));
            }
            T max = scores.Append(T.NegativeInfinity).Max(), sum = T.Zero;
            if (T.IsNegativeInfinity(max)) return; // A query from which every key is hidden looks at nothing.
            for (int key = 0; key < keys; key++) sum += w[key] = T.Exp(scores[key] - max);
            for (int key = 0; key < keys; key++)
            {
                w[key] /= sum;
                for (int d = 0; d < size; d++) context.Values[At(query, d)] += w[key] * f[key] * v.Values[At(firstKey + key, d)];
            }
            _upward.Push(() =>
            {
                var dw = new T[keys];
                // Σ w dw as dcontext · context (Dao 2022, appendix B.4), rounded as any attention is that keeps no weights; and so are the weights.
                T shared = T.Zero, logSum = max + T.Log(sum);
                for (int d = 0; d < size; d++) shared += context.Gradient[At(query, d)] * context.Values[At(query, d)];
                for (int key = 0; key < keys; key++)
                {
                    w[key] = T.Exp(scores[key] - logSum);
                    for (int d = 0; d < size; d++)
                    {
                        T dcontext = context.Gradient[At(query, d)];
                        v.Gradient[At(firstKey + key, d)] += w[key] * f[key] * dcontext;
                        dw[key] += dcontext * v.Values[At(firstKey + key, d)];
                    }
                    dw[key] *= f[key];
                }
                for (int key = 0; key < keys; key++)
                {
                    T ds = w[key] * (dw[key] - shared) * root;
                    for (int d = 0; d < size; d++)
                    {
                        q.Gradient[At(query, d)] += ds * k.Values[At(firstKey + key, d)];
                        k.Gradient[At(firstKey + key, d)] += ds * q.Values[At(query, d)];
                    }
                }
            });
        }
    }

    /// <summary>Rows of a table, or of other rows; a skipped one learns nothing.</summary>
    public Node<T> Rows(Node<T> table, int[] rows, int skipped = -1)
    {
        int c = table.Columns;
        return Map(rows.SelectMany(row => table.Values.Skip(row * c).Take(c)), c, y => i =>
        {
            if (rows[i / c] != skipped) table.Gradient[rows[i / c] * c + i % c] += y.Gradient[i];
        });
    }

    /// <summary>Mean of −Σ target·log softmax(x), target = (1 − ε)·onehot + ε/N, over the rows whose target is not negative.</summary>
    public Node<T> CrossEntropy(Node<T> x, int[] targets, double smoothing = 0)
    {
        int n = x.Columns;
        T count = T.CreateTruncating(targets.Count(target => target >= 0)), rest = T.CreateTruncating(smoothing / n), whole = T.CreateTruncating(1 - smoothing);
        T loss = T.Zero;
        var softmax = new T[x.Values.Length];
        for (int row = 0; row < x.Rows; row++)
        {
            if (targets[row] < 0) continue;
            ReadOnlySpan<T> values = x.Values.AsSpan(row * n, n);
            T max = T.NegativeInfinity, sum = T.Zero;
            foreach (T value in values) max = T.Max(max, value);
            foreach (T value in values) sum += T.Exp(value - max);
            for (int i = 0; i < n; i++)
            {
                softmax[row * n + i] = T.Exp(values[i] - max) / sum;
                loss -= (rest + (i == targets[row] ? whole : T.Zero)) * (values[i] - max - T.Log(sum)) / count;
            }
        }
        return Scalar(loss, x, i => targets[i / n] < 0 ? T.Zero : (softmax[i] - rest - (i % n == targets[i / n] ? whole : T.Zero)) / count);
    }

    /// <summary>The losses of <see cref="SequenceLoss"/>.</summary>
    public Node<T> Loss(SequenceLossKind kind, Node<T> x, float[] targets, double smoothing)
    {
        T count = T.CreateTruncating(x.Values.Length), two = T.One + T.One;
        T[] y = [.. targets.Select(T.CreateTruncating)];
        return kind switch
        {
            SequenceLossKind.SingleLabel => CrossEntropy(x, [.. targets.Select(target => (int)target)], smoothing),
            SequenceLossKind.MultiLabel => Scalar(Sum(i => T.Log(T.One + T.Exp(x.Values[i])) - x.Values[i] * y[i]), x, i => (T.One / (T.One + T.Exp(-x.Values[i])) - y[i]) / count),
            _ => Scalar(Sum(i => (x.Values[i] - y[i]) * (x.Values[i] - y[i])), x, i => two * (x.Values[i] - y[i]) / count),
        };

        T Sum(Func<int, T> term) => Enumerable.Range(0, x.Values.Length).Aggregate(T.Zero, (sum, i) => sum + term(i) / count);
    }

    /// <summary>Σ x·g: a loss whose gradient by x is g.</summary>
    public Node<T> Dot(Node<T> x, Node<T> g) => Scalar(x.Values.Zip(g.Values, (a, b) => a * b).Aggregate(T.Zero, (sum, value) => sum + value), x, i => g.Values[i]);

    private Node<T> Map(IEnumerable<T> values, int columns, Func<Node<T>, Action<int>> upward)
    {
        var y = new Node<T>([.. values], columns);
        Action<int> step = upward(y);
        _upward.Push(() =>
        {
            for (int i = 0; i < y.Values.Length; i++) step(i);
        });
        return y;
    }

    private Node<T> Scalar(T value, Node<T> x, Func<int, T> slope)
    {
        var y = new Node<T>([value], 1);
        _upward.Push(() =>
        {
            for (int i = 0; i < x.Values.Length; i++) x.Gradient[i] += slope(i) * y.Gradient[0];
        });
        return y;
    }
}
