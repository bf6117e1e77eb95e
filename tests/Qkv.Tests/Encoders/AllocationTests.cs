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
    public void A_forward_pass_allocates_nothing(int threads)
    {
        Model model = _files.Load(threads);
        var batch = new TokenBatch();
        for (int i = 0; i < 30; i++) RandomModel.Add(batch, 10 * i, i, holes: i % 2 == 0);
        Assert.True(batch.Tokens > Encoder.TokenBudget);
        var vectors = new float[batch.Sequences * model.Config.HiddenSize];
        for (int i = 0; i < 3; i++) Pooled.Into(vectors, model, batch);

        // The test runner has threads of its own, which may allocate in one try or another, but not in every one.
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 10 && least > 0; attempt++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Pooled.Into(vectors, model, batch);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        Assert.Equal(0, least);
    }

    [Fact]
    public void Kernels_on_memory_of_the_caller_allocate_nothing()
    {
        float[] x = new float[40_000], gamma = new float[40];
        AssertNothing(() => LayerNorm.Forward(x, gamma, gamma, 1e-5f, x));
        AssertNothing(() => Softmax.Forward(x, 40, x));
        AssertNothing(() => ActivationFunctions.Apply(Activation.Gelu, x, x));
        var linear = new Linear(40, 40, new(new float[1600], gamma));
        var y = new float[x.Length];
        AssertNothing(() => linear.Forward(x, y, Activation.Gelu));

        static void AssertNothing(Action action)
        {
            action();
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        }
    }

    public void Dispose() => _files.Dispose();
}
