using Qkv.Kernels;
using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

public class WideningTests
{
    [Theory]
    [InlineData("cast.to_f16_inf", "cast.f16_back_inf")]
    [InlineData("cast.to_bf16_inf", "cast.bf16_back_inf")]
    public void Equals_PyTorch(string narrow, string wide)
    {
        using ParameterFile file = ParameterFile.Open(Golden.Path("primitives", "expected.safetensors"));
        Assert.Equal(file.ReadAll(wide).Select(BitConverter.SingleToUInt32Bits), file.ReadAll(narrow).Select(BitConverter.SingleToUInt32Bits));
    }

    [Fact]
    public void Every_half_is_exact()
    {
        ushort[] halves = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];
        float[] widened = new float[halves.Length];
        Widening.FromFloat16(halves, widened);
        for (int i = 0; i < halves.Length; i++)
        {
            Half half = BitConverter.UInt16BitsToHalf(halves[i]);
            if (Half.IsNaN(half))
            {
                Assert.True(float.IsNaN(widened[i]));
                Assert.Equal(Half.IsNegative(half), float.IsNegative(widened[i]));
            }
            else
            {
                Assert.Equal(BitConverter.SingleToUInt32Bits((float)half), BitConverter.SingleToUInt32Bits(widened[i]));
            }
        }
    }

    [Fact]
    public void Every_bfloat16_is_exact()
    {
        ushort[] numbers = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];
        float[] widened = new float[numbers.Length];
        Widening.FromBFloat16(numbers, widened);
        Assert.Equal(numbers.Select(number => (uint)number << 16), widened.Select(BitConverter.SingleToUInt32Bits));
    }

    [Fact]
    public void Widening_in_place_reads_before_it_overwrites()
    {
        Random random = new(1);
        for (int length = 0; length <= 100; length++)
        {
            ushort[] source = [.. Enumerable.Range(0, length).Select(_ => (ushort)random.Next(0x7c00))];
            float[] apart = new float[length], inPlace = new float[length];
            Widening.FromFloat16(source, apart);
            source.CopyTo(Widening.UpperHalf(inPlace));
            Widening.FromFloat16(Widening.UpperHalf(inPlace), inPlace);
            Assert.Equal(apart, inPlace);

            Widening.FromBFloat16(source, apart);
            source.CopyTo(Widening.UpperHalf(inPlace));
            Widening.FromBFloat16(Widening.UpperHalf(inPlace), inPlace);
            Assert.Equal(apart, inPlace);
        }
    }
}
