using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>Nothing else may run while the bytes of the whole process are counted.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public class Alone;

/// <summary>After warm-up a forward pass into memory of the caller allocates nothing.</summary>
[Collection(nameof(Alone))]
[Trait("Suite", "Numerical")]
public sealed class AllocationTests : IDisposable
{
    private readonly RandomModel _files = new();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(2, Precision.Int8)]
    public void A_forward_pass_allocates_nothing(int threads, Precision precision = Precision.Float32)
    {
        Model model = _files.Load(threads, precision);
        var batch = new TokenBatch();
        for (int i = 0; i < 30; i++) RandomModel.Add(batch, 10 * i, i, holes: i % 2 == 0);
        Assert.True(batch.Tokens > model.Encoder.BatchTokens);
        var vectors = new float[batch.Sequences * model.Config.HiddenSize];
        Assert.Equal(0, Allocated(() => Pooled.Into(vectors, model, batch)));
    }

    [Fact]
    public void Kernels_on_memory_of_the_caller_allocate_nothing()
    {
        float[] x = new float[40_000], gamma = new float[40];
        var linear = new Linear(40, 40, new(new float[1600], gamma));
        var y = new float[x.Length];
        Assert.Equal(0, Allocated(() => LayerNorm.Forward(x, gamma, gamma, 1e-5f, x)));
        Assert.Equal(0, Allocated(() => Softmax.Forward(x, 40, x)));
        Assert.Equal(0, Allocated(() => ActivationFunctions.Apply(Activation.Gelu, x, x)));
        Assert.Equal(0, Allocated(() => linear.Forward(x, y, Activation.Gelu)));
    }

    [Fact]
    public void Attention_on_memory_of_the_caller_allocates_nothing()
    {
        const int length = 100;
        float[] rows = new float[length * 64], context = new float[rows.Length], scores = new float[2 * length * length], weights = new float[scores.Length];
        var mask = new AttentionMask { VisibleKeys = Enumerable.Range(0, length).Select(key => key % 3 != 0).ToArray(), Additive = new float[length] };
        Assert.Equal(0, Allocated(() => FlashAttention.Forward(rows, rows, rows, 2, 32, context, mask)));
        Assert.Equal(0, Allocated(() => AttentionReference.Forward(rows, rows, rows, 2, 32, scores, weights, context, mask)));
    }

    [Fact]
    public void Memory_of_flash_attention_does_not_grow_with_the_length()
    {
        // Each is longer than the one before and than a block of queries, which is what there is room for: the memory of the first does for all. The pinned heap is handed out in
        // steps of 8 KB; one number a token more would be 8 KB a time, one row a token 256 KB. Other threads may allocate in one of them or another, but not in every one.
        Assert.InRange(((int[])[6000, 8000, 10000, 12000]).Min(After(4000)), 0, 8191);

        static Func<int, long> After(int warm)
        {
            _ = Allocated(warm);
            return Allocated;
        }

        static long Allocated(int length)
        {
            float[] rows = new float[length * 64], context = new float[rows.Length];
            long before = GC.GetTotalAllocatedBytes(precise: true);
            FlashAttention.Forward(rows, rows, rows, 1, 64, context);
            return GC.GetTotalAllocatedBytes(precise: true) - before;
        }
    }

    public void Dispose() => _files.Dispose();

    /// <summary>
    /// The bytes that every run allocates after warm-up. The test runner has threads of its own, which may allocate in one try or
    /// another, but not in every one.
    /// </summary>
    private static long Allocated(Action action)
    {
        for (int i = 0; i < 3; i++) action();
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 10 && least > 0; attempt++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            action();
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        return least;
    }
}
