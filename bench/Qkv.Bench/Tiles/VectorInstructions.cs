using Iced.Intel;
using Qkv.Kernels.MachineCode;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>The instructions that a vector tile is made of, for vectors of one width, and which registers there are for it. A vector is the number of its register.</summary>
internal abstract class VectorInstructions
{
    /// <summary>Bytes of a vector.</summary>
    public abstract int Bytes { get; }

    /// <summary>Rows of the highest tile: two sums each, in the first registers.</summary>
    public abstract int Rows { get; }

    /// <summary>Two vectors of B.</summary>
    public abstract (int Left, int Right) B { get; }

    /// <summary>Broadcasts of A, by turns.</summary>
    public abstract int[] A { get; }

    /// <summary>Pointers into A, three rows each.</summary>
    public abstract AssemblerRegister64[] Bases { get; }

    /// <summary>Where the distance to the next line to fetch and the one to the next step of B are kept; null where they are read from the call each time.</summary>
    public abstract (AssemblerRegister64 Ahead, AssemblerRegister64 BStride)? Distances { get; }

    /// <summary>Steps of a turn of the loop.</summary>
    public abstract int StepsAtOnce { get; }

    public abstract void Load(Assembler code, int vector, AssemblerMemoryOperand source);

    public abstract void Store(Assembler code, AssemblerMemoryOperand destination, int vector);

    public abstract void Zero(Assembler code, int vector);

    public abstract void Copy(Assembler code, int vector, int source);

    /// <summary>Four bytes in every lane.</summary>
    public abstract void Broadcast(Assembler code, int vector, AssemblerMemoryOperand source);
}

/// <summary>
/// AVX-512: 32 registers. Measured on Zen 5: 99 % of the instruction's peak. A as a broadcast operand of the product itself reaches 88 % (it is loaded twice);
/// 13 and 14 rows, and loops of two and four steps, are no faster.
/// </summary>
internal sealed class Avx512Instructions : VectorInstructions
{
    public override int Bytes => 64;

    public override int Rows => MachineTiles.Avx512Rows;

    public override (int Left, int Right) B => (28, 29);

    // By turns, though the processor renames them: it costs nothing.
    public override int[] A => [30, 31];

    public override AssemblerRegister64[] Bases => [rsi, r8, r9, r10];

    public override (AssemblerRegister64 Ahead, AssemblerRegister64 BStride)? Distances => null;

    public override int StepsAtOnce => 1;

    public override void Load(Assembler code, int vector, AssemblerMemoryOperand source) => code.vmovdqu32(Zmm(vector), source);

    public override void Store(Assembler code, AssemblerMemoryOperand destination, int vector) => code.vmovdqu32(destination, Zmm(vector));

    public override void Zero(Assembler code, int vector) => code.vpxord(Zmm(vector), Zmm(vector), Zmm(vector));

    public override void Copy(Assembler code, int vector, int source) => code.vmovdqa32(Zmm(vector), Zmm(source));

    public override void Broadcast(Assembler code, int vector, AssemblerMemoryOperand source) => code.vpbroadcastd(Zmm(vector), source);

    public static AssemblerRegisterZMM Zmm(int vector) => new(Register.ZMM0 + vector);
}

/// <summary>
/// AVX2: 16 registers, of which the last is <see cref="Spare"/>, and the right one of B holds ones of 16 bits until it is loaded. Two steps a turn, as processors that take
/// four instructions a cycle would wait for the loop's own before they wait for the products.
/// </summary>
internal sealed class Avx2Instructions : VectorInstructions
{
    /// <summary>Zero where a tile begins, and free from then on.</summary>
    public const int Spare = 15;

    public override int Bytes => 32;

    public override int Rows => MachineTiles.Avx2Rows;

    public override (int Left, int Right) B => (12, 13);

    public override int[] A => [14];

    public override AssemblerRegister64[] Bases => [rsi, r8];

    public override (AssemblerRegister64 Ahead, AssemblerRegister64 BStride)? Distances => (r9, r10);

    public override int StepsAtOnce => 2;

    public override void Load(Assembler code, int vector, AssemblerMemoryOperand source) => code.vmovups(Ymm(vector), source);

    public override void Store(Assembler code, AssemblerMemoryOperand destination, int vector) => code.vmovups(destination, Ymm(vector));

    public override void Zero(Assembler code, int vector) => code.vxorps(Ymm(vector), Ymm(vector), Ymm(vector));

    public override void Copy(Assembler code, int vector, int source) => code.vmovaps(Ymm(vector), Ymm(source));

    public override void Broadcast(Assembler code, int vector, AssemblerMemoryOperand source) => code.vbroadcastss(Ymm(vector), source);

    public static AssemblerRegisterYMM Ymm(int vector) => new(Register.YMM0 + vector);
}
