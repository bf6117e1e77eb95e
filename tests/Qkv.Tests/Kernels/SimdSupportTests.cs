using Qkv.Kernels;

namespace Qkv.Tests.Kernels;

/// <summary>The choice of the SIMD level.</summary>
[Trait("Suite", "Numerical")]
public class SimdSupportTests
{
    [Theory]
    [InlineData(null, SimdLevel.Vector512, SimdLevel.Vector512)]
    [InlineData("", SimdLevel.Vector256, SimdLevel.Vector256)]
    [InlineData("512", SimdLevel.Vector512, SimdLevel.Vector512)]
    [InlineData("256", SimdLevel.Vector512, SimdLevel.Vector256)]
    [InlineData(" 128 ", SimdLevel.Vector512, SimdLevel.Vector128)]
    [InlineData("scalar", SimdLevel.Vector512, SimdLevel.Scalar)]
    [InlineData("Scalar", SimdLevel.Vector128, SimdLevel.Scalar)]
    [InlineData("0", SimdLevel.Vector128, SimdLevel.Scalar)]
    [InlineData("512", SimdLevel.Vector128, SimdLevel.Vector128)] // forces down, never up
    [InlineData("256", SimdLevel.Scalar, SimdLevel.Scalar)]
    public void The_level_is_what_is_wanted_or_what_there_is(string? wanted, SimdLevel processor, SimdLevel expected) =>
        Assert.Equal(expected, SimdSupport.Choose(wanted, processor));

    [Fact]
    public void An_unknown_level_is_an_error_that_says_what_is_known()
    {
        string message = Assert.Throws<ArgumentException>(() => SimdSupport.Choose("avx2", SimdLevel.Vector512)).Message;
        Assert.All((string[])["QKV_SIMD=avx2", "scalar", "128", "256", "512"], part => Assert.Contains(part, message));
    }

    [Fact]
    public void The_level_in_effect_is_what_the_environment_asks_for()
    {
        SimdLevel wanted = SimdSupport.Choose(Environment.GetEnvironmentVariable(SimdSupport.Variable), SimdLevel.Vector512);
        Assert.Equal((SimdLevel)Math.Min((int)wanted, (int)SimdSupport.Processor), SimdSupport.Level);
        if (Environment.GetEnvironmentVariable("DOTNET_EnableHWIntrinsic") == "0") Assert.Equal(SimdLevel.Scalar, SimdSupport.Level);
        if (Environment.GetEnvironmentVariable("DOTNET_EnableAVX2") == "0") Assert.True(SimdSupport.Level <= SimdLevel.Vector128);
    }
}
