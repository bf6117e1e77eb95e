using Iced.Intel;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>A loop of nothing but the instructions of a product, as a function of the number of steps, and for AMX of what configures its registers and of 4 KB to multiply.</summary>
internal static class PeakLoop
{
    /// <summary>
    /// Independent sums a step: more than the twelve that two pipes of latency six keep in flight. AMX has four registers of sums, and its one instruction takes 16 cycles of 52; AVX2 as many as it
    /// has in a tile.
    /// </summary>
    public static readonly int Accumulators = MachineTiles.HasAmx ? 4 : MachineTiles.IsAvx2 ? 12 : 16;

    /// <summary>About 0.2 ms: now and then, nobody disturbs it.</summary>
    public static readonly int Steps = MachineTiles.HasAmx ? 10_000 : 100_000;

    /// <summary>What the loop multiplies and adds, counted as two each.</summary>
    public static double Operations(Arithmetic arithmetic)
    {
        int factors = arithmetic == Arithmetic.BFloat16 ? 2 : QuantizedTile.Group, sums = MachineTiles.HasAmx ? TileRegisters.Rows * TileRegisters.Rows * TileRegisters.Rows : MatMulTile.PanelWidth / 2;
        return 2.0 * factors * sums * Accumulators * Steps;
    }

    public static byte[] Assemble(Arithmetic arithmetic)
    {
        var code = new Assembler(64);
        if (MachineTiles.HasAmx) Amx(code, arithmetic);
        else if (MachineTiles.IsAvx2) TileAssembler.KeepVectors(code, () => Pairs(code));
        else Vectors(code, arithmetic);
        code.ret();
        using var bytes = new MemoryStream();
        code.Assemble(new StreamCodeWriter(bytes), 0);
        return bytes.ToArray();
    }

    private static void Vectors(Assembler code, Arithmetic arithmetic)
    {
        // All of these registers a caller gives away, here as on Windows.
        AssemblerRegisterZMM a = zmm0, b = zmm1;
        AssemblerRegisterZMM[] sums = [.. Enumerable.Range(0, Accumulators).Select(i => new AssemblerRegisterZMM(Register.ZMM16 + i))];
        foreach (AssemblerRegisterZMM zeroed in (AssemblerRegisterZMM[])[a, b, .. sums]) code.vpxord(zeroed, zeroed, zeroed);
        Loop(code, () =>
        {
            foreach (AssemblerRegisterZMM sum in sums)
            {
                if (arithmetic == Arithmetic.BFloat16) code.vdpbf16ps(sum, a, b);
                else code.vpdpbusd(sum, a, b);
            }
        });
    }

    private static void Pairs(Assembler code)
    {
        AssemblerRegisterYMM[] sums = [.. Enumerable.Range(0, Accumulators).Select(Avx2Instructions.Ymm)];
        AssemblerRegisterYMM zero = ymm14, product = ymm15;
        foreach (AssemblerRegisterYMM zeroed in (AssemblerRegisterYMM[])[zero, .. sums]) code.vpxor(zeroed, zeroed, zeroed);
        Loop(code, () =>
        {
            foreach (AssemblerRegisterYMM sum in sums)
            {
                code.vpmaddubsw(product, zero, zero);
                code.vpmaddwd(product, product, zero);
                code.vpaddd(sum, sum, product);
            }
        });
    }

    private static void Loop(Assembler code, Action step)
    {
        AssemblerRegister64 steps = OperatingSystem.IsWindows() ? rcx : rdi;
        Label again = code.CreateLabel();
        code.Label(ref again);
        step();
        code.dec(steps);
        code.jnz(again);
        code.vzeroupper();
    }

    private static void Amx(Assembler code, Arithmetic arithmetic)
    {
        Label step = code.CreateLabel();
        code.ldtilecfg(__[rsi]);
        code.mov(eax, 64);
        AssemblerRegisterTMM[] sums = [tmm0, tmm1, tmm2, tmm3], factors = [tmm4, tmm5, tmm6, tmm7];
        foreach (AssemblerRegisterTMM sum in sums) code.tilezero(sum);
        for (int i = 0; i < factors.Length; i++) code.tileloadd(factors[i], __[rdx + rax + i * 1024]);
        code.Label(ref step);
        for (int i = 0; i < sums.Length; i++)
        {
            AssemblerRegisterTMM a = factors[i / 2], b = factors[2 + i % 2];
            if (arithmetic == Arithmetic.BFloat16) code.tdpbf16ps(sums[i], a, b);
            else code.tdpbusd(sums[i], a, b);
        }
        code.dec(rdi);
        code.jnz(step);
        code.tilerelease();
    }
}
