using Qkv.Kernels;

namespace Qkv.Tests.Kernels;

/// <summary>Sums and maxima of rows, with whatever is no number.</summary>
[Trait("Suite", "Numerical")]
public unsafe class ElementwiseTests
{
    [Fact]
    public void A_maximum_keeps_NaN_from_either_side_in_vectors_and_tails()
    {
        float[] values = [1f, -2f, 0f, -0f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 1e-40f, float.MaxValue];
        (float A, float B)[] pairs = [.. values.SelectMany(a => values.Select(b => (a, b)))];
        for (int length = 0; length <= pairs.Length; length++)
        {
            float[] a = [.. pairs.Take(length).Select(pair => pair.A)], b = [.. pairs.Take(length).Select(pair => pair.B)], y = new float[length];
            fixed (float* pa = a, pb = b, py = y) Workers.Run(new Maximum(pa, pb, py, length), 1, 1);
            for (int i = 0; i < length; i++) Assert.Equal(MathF.Max(a[i], b[i]), y[i]);
        }
    }

    private readonly struct Maximum(float* a, float* b, float* y, int count) : IKernel
    {
        private readonly float* _a = a, _b = b, _y = y;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V> => Elementwise.Max<V>(_a, _b, _y, count);
    }

    [Fact]
    public void A_number_that_is_none_is_found_wherever_it_is()
    {
        for (int length = 0; length <= 40; length++)
        {
            float[] x = [.. Enumerable.Range(0, length).Select(i => i % 3 == 0 ? float.MaxValue : -float.MaxValue / 40 * i)];
            Assert.True(Elementwise.AreFinite(x));
            for (int i = 0; i < length; i++)
            {
                float number = x[i];
                foreach (float none in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
                {
                    x[i] = none;
                    Assert.False(Elementwise.AreFinite(x));
                }
                x[i] = number;
            }
        }
    }
}
