using System.Runtime.InteropServices;
using System.Text;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;

namespace Qkv.Tests.Kernels;

/// <summary>The choice of the SIMD level.</summary>
[Trait("Suite", "Numerical")]
public class SimdSupportTests
{
    [Theory]
    [InlineData(null, SimdLevel.Vector512, SimdLevel.Vector512)]
    [InlineData("", SimdLevel.Vector256, SimdLevel.Vector256)]
    [InlineData(null, SimdLevel.Avx2, SimdLevel.Avx2)]
    [InlineData("avx2", SimdLevel.Avx512Bf16, SimdLevel.Avx2)]
    [InlineData("AVX2", SimdLevel.Vector128, SimdLevel.Vector128)]
    [InlineData("256", SimdLevel.Avx2, SimdLevel.Vector256)] // no machine code
    [InlineData("512", SimdLevel.Avx2, SimdLevel.Avx2)]
    [InlineData("512", SimdLevel.Vector512, SimdLevel.Vector512)]
    [InlineData("256", SimdLevel.Vector512, SimdLevel.Vector256)]
    [InlineData(" 128 ", SimdLevel.Vector512, SimdLevel.Vector128)]
    [InlineData("scalar", SimdLevel.Vector512, SimdLevel.Scalar)]
    [InlineData("Scalar", SimdLevel.Vector128, SimdLevel.Scalar)]
    [InlineData("0", SimdLevel.Vector128, SimdLevel.Scalar)]
    [InlineData("512", SimdLevel.Vector128, SimdLevel.Vector128)] // forces down, never up
    [InlineData("256", SimdLevel.Scalar, SimdLevel.Scalar)]
    [InlineData(null, SimdLevel.Avx512Bf16, SimdLevel.Avx512Bf16)]
    [InlineData("avx512bf16", SimdLevel.Avx512Bf16, SimdLevel.Avx512Bf16)]
    [InlineData("AVX512VNNI", SimdLevel.Avx512Bf16, SimdLevel.Avx512Vnni)]
    [InlineData("512", SimdLevel.Avx512Bf16, SimdLevel.Vector512)] // no machine code
    [InlineData("128", SimdLevel.Avx512Vnni, SimdLevel.Vector128)]
    [InlineData("avx512bf16", SimdLevel.Avx512Vnni, SimdLevel.Avx512Vnni)]
    [InlineData("avx512vnni", SimdLevel.Vector256, SimdLevel.Vector256)]
    [InlineData(null, SimdLevel.Amx, SimdLevel.Amx)]
    [InlineData("amx", SimdLevel.Avx512Bf16, SimdLevel.Avx512Bf16)]
    [InlineData("avx512bf16", SimdLevel.Amx, SimdLevel.Avx512Bf16)]
    public void The_level_is_what_is_wanted_or_what_there_is(string? wanted, SimdLevel processor, SimdLevel expected) =>
        Assert.Equal(expected, SimdSupport.Choose(wanted, processor, machineCode: true));

    [Theory]
    [InlineData(null, SimdLevel.Avx512Bf16, SimdLevel.Vector512)]
    [InlineData("", SimdLevel.Avx512Vnni, SimdLevel.Vector512)]
    [InlineData(null, SimdLevel.Vector256, SimdLevel.Vector256)]
    [InlineData(null, SimdLevel.Avx2, SimdLevel.Vector256)]
    [InlineData("avx2", SimdLevel.Avx2, SimdLevel.Avx2)]
    [InlineData("avx512bf16", SimdLevel.Avx512Bf16, SimdLevel.Avx512Bf16)]
    [InlineData("avx512vnni", SimdLevel.Avx512Bf16, SimdLevel.Avx512Vnni)]
    public void Where_machine_code_was_not_tested_it_must_be_asked_for(string? wanted, SimdLevel processor, SimdLevel expected) =>
        Assert.Equal(expected, SimdSupport.Choose(wanted, processor, machineCode: false));

    [Theory]
    [InlineData(1, "AuthenticAMD", 0, 0, 0, SimdLevel.Vector512)] // no leaf 7
    [InlineData(7, "AuthenticAMD", 0, 0, 1 << 5, SimdLevel.Vector512)]
    [InlineData(7, "AuthenticAMD", 1 << 11, 0, 0, SimdLevel.Avx512Vnni)]
    [InlineData(7, "AuthenticAMD", ~(1 << 11), ~0, ~0, SimdLevel.Vector512)] // other bits mean nothing
    [InlineData(7, "AuthenticAMD", ~0, ~0, ~(1 << 5), SimdLevel.Avx512Vnni)]
    [InlineData(16, "AuthenticAMD", 1 << 11, 0, 1 << 5, SimdLevel.Avx512Bf16)]
    [InlineData(16, "GenuineIntel", 1 << 11, 0, 1 << 5, SimdLevel.Avx512Vnni)] // half as fast there as float32
    [InlineData(32, "GenuineIntel", 1 << 11, 1 << 22 | 1 << 24 | 1 << 25, 1 << 5, SimdLevel.Amx)]
    [InlineData(32, "GenuineIntel", 1 << 11, ~(1 << 22), 1 << 5, SimdLevel.Avx512Vnni)] // one of the three is missing
    [InlineData(32, "GenuineIntel", 1 << 11, ~(1 << 24), 1 << 5, SimdLevel.Avx512Vnni)]
    [InlineData(32, "GenuineIntel", 1 << 11, ~(1 << 25), 1 << 5, SimdLevel.Avx512Vnni)]
    public void The_processor_says_what_it_has(int leaves, string vendor, int ecx, int edx, int eaxOfOne, SimdLevel expected)
    {
        int[] names = MemoryMarshal.Cast<byte, int>(Encoding.ASCII.GetBytes(vendor)).ToArray();
        Assert.Equal(expected, SimdSupport.Beyond((leaf, subleaf) => (leaf, subleaf) switch
        {
            (0, 0) => (leaves, names[0], names[2], names[1]),
            (7, 0) => (1, 0, ecx, edx),
            (7, 1) => (eaxOfOne, 0, 0, 0),
            _ => throw new InvalidOperationException(),
        }));
        if (expected == SimdLevel.Avx512Bf16) // a processor without subleaf 1 answers with something else
            Assert.Equal(SimdLevel.Avx512Vnni, SimdSupport.Beyond((leaf, subleaf) => leaf == 0 ? (leaves, 0, 0, 0) : (subleaf == 0 ? 0 : ~0, 0, ecx, 0)));
    }

    [Fact]
    public void Tile_registers_are_asked_for_where_they_are_used()
    {
        Assert.Equal(SimdLevel.Amx, SimdSupport.Permitted(SimdLevel.Amx, () => true));
        Assert.Equal(SimdLevel.Avx512Vnni, SimdSupport.Permitted(SimdLevel.Amx, () => false));
        Assert.Equal(SimdLevel.Avx512Bf16, SimdSupport.Permitted(SimdLevel.Avx512Bf16, () => throw new InvalidOperationException()));
    }

    [Fact]
    public void A_processor_that_is_no_x86_has_no_machine_code() => Assert.Equal(SimdLevel.Vector512, SimdSupport.Beyond(null));

    [Fact]
    public void An_unknown_level_is_an_error_that_says_what_is_known()
    {
        string message = Assert.Throws<ArgumentException>(() => SimdSupport.Choose("avx9", SimdLevel.Vector512, machineCode: true)).Message;
        Assert.All((string[])["QKV_SIMD=avx9", "scalar", "128", "256", "avx2", "512", "avx512vnni", "avx512bf16", "amx"], part => Assert.Contains(part, message));
    }

    [Fact]
    public void The_level_in_effect_is_what_the_environment_asks_for()
    {
        SimdLevel wanted = SimdSupport.Choose(Environment.GetEnvironmentVariable(SimdSupport.Variable), SimdLevel.Amx, OperatingSystem.IsLinux());
        Assert.Equal(SimdSupport.Permitted((SimdLevel)Math.Min((int)wanted, (int)SimdSupport.Processor), TileRegisters.Ask), SimdSupport.Level);
        Assert.Equal(SimdSupport.Level switch { >= SimdLevel.Vector512 => SimdLevel.Vector512, >= SimdLevel.Vector256 => SimdLevel.Vector256, var level => level }, SimdSupport.Vectors);
        if (Environment.GetEnvironmentVariable("DOTNET_EnableHWIntrinsic") == "0") Assert.Equal(SimdLevel.Scalar, SimdSupport.Level);
        if (Environment.GetEnvironmentVariable("DOTNET_EnableAVX2") == "0") Assert.True(SimdSupport.Level <= SimdLevel.Vector128);
    }
}
