using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>A loop of nothing but one instruction, as a function of the number of steps.</summary>
internal static class PeakLoop
{
    /// <summary>As many independent instructions a step as there are <paramref name="accumulators"/>, all from registers that every caller gives away.</summary>
    public static byte[] Assemble(Arithmetic arithmetic, int accumulators)
    {
        var code = new Assembler(64);
        AssemblerRegister64 steps = OperatingSystem.IsWindows() ? rcx : rdi;
        Label step = code.CreateLabel();
        for (Register register = Register.ZMM16; register <= Register.ZMM31; register++) code.vpxord(new(register), new AssemblerRegisterZMM(register), new AssemblerRegisterZMM(register));
        code.Label(ref step);
        for (int i = 0; i < accumulators; i++)
        {
            AssemblerRegisterZMM sum = new(Register.ZMM16 + i);
            if (arithmetic == Arithmetic.BFloat16) code.vdpbf16ps(sum, zmm30, zmm31);
            else code.vpdpbusd(sum, zmm30, zmm31);
        }
        code.dec(steps);
        code.jnz(step);
        code.ret();
        using var bytes = new MemoryStream();
        code.Assemble(new StreamCodeWriter(bytes), 0);
        return bytes.ToArray();
    }
}
