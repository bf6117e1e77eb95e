using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>A loop of nothing but one instruction, as a function of the number of steps.</summary>
internal static class PeakLoop
{
    /// <summary>Independent instructions a step: more than the twelve that two pipes of latency six keep in flight.</summary>
    public const int Accumulators = 16;

    public static byte[] Assemble(Arithmetic arithmetic)
    {
        var code = new Assembler(64);
        AssemblerRegister64 steps = OperatingSystem.IsWindows() ? rcx : rdi;
        Label step = code.CreateLabel();
        // All of these registers a caller gives away, here as on Windows.
        AssemblerRegisterZMM a = zmm0, b = zmm1;
        AssemblerRegisterZMM[] sums = [.. Enumerable.Range(0, Accumulators).Select(i => new AssemblerRegisterZMM(Register.ZMM16 + i))];
        foreach (AssemblerRegisterZMM zeroed in (AssemblerRegisterZMM[])[a, b, .. sums]) code.vpxord(zeroed, zeroed, zeroed);
        code.Label(ref step);
        foreach (AssemblerRegisterZMM sum in sums)
        {
            if (arithmetic == Arithmetic.BFloat16) code.vdpbf16ps(sum, a, b);
            else code.vpdpbusd(sum, a, b);
        }
        code.dec(steps);
        code.jnz(step);
        code.vzeroupper();
        code.ret();
        using var bytes = new MemoryStream();
        code.Assemble(new StreamCodeWriter(bytes), 0);
        return bytes.ToArray();
    }
}
