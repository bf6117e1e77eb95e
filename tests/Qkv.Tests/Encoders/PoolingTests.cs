using Qkv.Encoders;
using Qkv.Tests.Reference;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>Hidden states to one vector.</summary>
[Trait("Suite", "Numerical")]
public sealed class PoolingTests : IDisposable
{
    private readonly RandomModel _files = new();

    public static MatrixTheoryData<Pooling, bool> Cases => new(Enum.GetValues<Pooling>(), [false, true]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Equals_its_definition_over_the_visible_tokens(Pooling pooling, bool normalize)
    {
        Model model = _files.Load(2);
        var batch = new TokenBatch();
        RandomModel.Add(batch, 37, 1, holes: true);
        batch.Add([1, 2, 3], attentionMask: [0, 0, 0]);
        RandomModel.Add(batch, 1, 2);
        RandomModel.Add(batch, 12, 3);
        float[] hidden = HiddenStates.Of(model, batch), vectors = Pooled.Of(model, batch, pooling, normalize);
        int features = model.Config.HiddenSize;
        for (int sequence = 0; sequence < batch.Sequences; sequence++)
        {
            int start = batch.Starts[sequence];
            double[][] rows = [.. hidden.Chunk(features).Skip(start).Take(batch.Length(sequence))
                .Where((_, token) => pooling == Pooling.Cls || !batch.IsHidden(start + token)).Select(row => row.ToDoubles())];
            double[] truth = [.. Enumerable.Range(0, features).Select(i => rows.Length == 0 ? 0 : pooling switch
            {
                Pooling.Mean => rows.Average(row => row[i]),
                Pooling.Max => rows.Max(row => row[i]),
                _ => rows[0][i],
            })];
            double length = normalize ? Math.Max(Math.Sqrt(truth.Sum(value => value * value)), 1e-12) : 1;
            double largest = rows.Length == 0 ? 0 : rows.Max(row => row.Max(Math.Abs));
            Exactness.Within($"{pooling} of sequence {sequence}", vectors.AsSpan(sequence * features, features), [.. truth.Select(value => value / length)],
                Rounding.Gamma(rows.Length + features + 4) * largest / length);
        }
    }

    public void Dispose() => _files.Dispose();
}
