using Iced.Intel;
using Qkv.Kernels.MachineCode;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>
/// The tiles of AMX: registers of 16 rows × 64 bytes, of which one instruction multiplies two onto a third. Two of A below each other and two of B side by side feed four
/// of sums, so that every register that is loaded is used twice; up to 16 rows, one of A feeds two. Rows beyond the tile's are cut off by how the registers are
/// configured. Sums are loaded where they start from, and stored where they end, without a vector; only where they start from what is added and from
/// another row as well (a residual and a bias) does the latter come at the end.
/// </summary>
internal sealed partial class TileAssembler
{
    private const int LineBytes = 64;

    // One line every second step, as many as the lines of B.
    private const int FetchesAtOnce = MachineTiles.AmxSteps / 2;

    private static readonly AssemblerRegister64 s_a0 = rsi, s_a1 = r8, s_aStride = r11, s_b0 = rdx, s_bStride = r10, s_ahead = r9, s_ahead2 = rax;

    private delegate void RegisterProduct(AssemblerRegisterTMM sum, AssemblerRegisterTMM a, AssemblerRegisterTMM b);

    private delegate void VectorSum(AssemblerRegisterZMM sum, AssemblerRegisterZMM start);

    private Label[] AmxTiles(string name, RegisterProduct product, VectorSum add) =>
        [AmxTile($"{name}, up to {MachineTiles.AmxRows / 2} rows", tall: false, product, add), AmxTile($"{name}, up to {MachineTiles.AmxRows} rows", tall: true, product, add)];

    private Label AmxTile(string title, bool tall, RegisterProduct product, VectorSum add)
    {
        Label entry = Here(title), tile = _code.CreateLabel(), fromAdded = _code.CreateLabel(), fromZero = _code.CreateLabel(), begun = _code.CreateLabel(), step = _code.CreateLabel(),
            end = _code.CreateLabel(), row = _code.CreateLabel(), done = _code.CreateLabel();
        _code.mov(rax, Argument(nameof(TileCall.Registers)));
        _code.ldtilecfg(__[rax]);
        _code.Label(ref tile);
        // Where the sums start from: what is added, or one row for all, or zero.
        _code.mov(rcx, Argument(nameof(TileCall.AddedStride)));
        _code.mov(rax, Argument(nameof(TileCall.Added)));
        _code.test(rax, rax);
        _code.jne(fromAdded);
        _code.xor(ecx, ecx);
        _code.mov(rax, Argument(nameof(TileCall.Start)));
        _code.test(rax, rax);
        _code.je(fromZero);
        _code.Label(ref fromAdded);
        _code.tileloadd(tmm0, __[rax + rcx]);
        _code.tileloadd(tmm1, __[rax + rcx + LineBytes]);
        if (tall)
        {
            Below(rax, rax, rcx);
            _code.tileloadd(tmm2, __[rax + rcx]);
            _code.tileloadd(tmm3, __[rax + rcx + LineBytes]);
        }
        _code.jmp(begun);
        _code.Label(ref fromZero);
        _code.tilezero(tmm0);
        _code.tilezero(tmm1);
        if (tall)
        {
            _code.tilezero(tmm2);
            _code.tilezero(tmm3);
        }
        _code.Label(ref begun);
        _code.mov(s_a0, Argument(nameof(TileCall.A)));
        _code.mov(s_aStride, Argument(nameof(TileCall.AStride)));
        if (tall) Below(s_a1, s_a0, s_aStride);
        _code.mov(s_b0, Argument(nameof(TileCall.B)));
        _code.mov(s_bStride, Argument(nameof(TileCall.BStride)));
        _code.mov(s_ahead, Argument(nameof(TileCall.Next)));
        _code.mov(s_ahead2, Argument(nameof(TileCall.Ahead)));
        _code.add(s_ahead2, s_ahead2);
        _code.mov(rcx, Argument(nameof(TileCall.Steps)));
        _code.sub(rcx, MachineTiles.AmxSteps);
        _code.jl(end);
        _code.Label(ref step);
        _code.tileloadd(tmm4, __[s_a0 + s_aStride]);
        _code.tileloadd(tmm6, __[s_b0 + s_bStride]);
        product(tmm0, tmm4, tmm6);
        Fetch();
        _code.tileloadd(tmm7, __[s_b0 + s_bStride + LineBytes]);
        product(tmm1, tmm4, tmm7);
        Fetch();
        if (tall)
        {
            _code.tileloadd(tmm5, __[s_a1 + s_aStride]);
            product(tmm2, tmm5, tmm6);
            product(tmm3, tmm5, tmm7);
            _code.add(s_a1, LineBytes);
        }
        _code.add(s_a0, LineBytes);
        Below(s_b0, s_b0, s_bStride);
        _code.sub(rcx, MachineTiles.AmxSteps);
        _code.jge(step);
        _code.Label(ref end);
        // Everything that counts rows goes on to the rows below.
        _code.mov(Argument(nameof(TileCall.Next)), s_ahead);
        _code.mov(rcx, Argument(nameof(TileCall.Rows)));
        _code.imul(s_aStride, rcx);
        _code.add(Argument(nameof(TileCall.A)), s_aStride);
        _code.mov(rsi, Argument(nameof(TileCall.C)));
        _code.mov(rdx, Argument(nameof(TileCall.CStride)));
        _code.tilestored(__[rsi + rdx], tmm0);
        _code.tilestored(__[rsi + rdx + LineBytes], tmm1);
        if (tall)
        {
            Below(r8, rsi, rdx);
            _code.tilestored(__[r8 + rdx], tmm2);
            _code.tilestored(__[r8 + rdx + LineBytes], tmm3);
        }
        _code.mov(r8, rdx);
        _code.imul(r8, rcx);
        _code.add(Argument(nameof(TileCall.C)), r8);
        _code.cmp(Argument(nameof(TileCall.Added)), 0);
        _code.je(done);
        _code.mov(r8, Argument(nameof(TileCall.AddedStride)));
        _code.imul(r8, rcx);
        _code.add(Argument(nameof(TileCall.Added)), r8);
        _code.mov(rax, Argument(nameof(TileCall.Start)));
        _code.test(rax, rax);
        _code.je(done);
        _code.vmovdqu32(zmm0, __zmmword_ptr[rax]);
        _code.vmovdqu32(zmm1, __zmmword_ptr[rax + LineBytes]);
        _code.Label(ref row);
        _code.vmovdqu32(zmm2, __zmmword_ptr[rsi]);
        _code.vmovdqu32(zmm3, __zmmword_ptr[rsi + LineBytes]);
        add(zmm2, zmm0);
        add(zmm3, zmm1);
        _code.vmovdqu32(__zmmword_ptr[rsi], zmm2);
        _code.vmovdqu32(__zmmword_ptr[rsi + LineBytes], zmm3);
        _code.add(rsi, rdx);
        _code.dec(rcx);
        _code.jnz(row);
        _code.Label(ref done);
        _code.dec(Argument(nameof(TileCall.Tiles)));
        _code.jnz(tile);
        // Threads that stop now need not keep these registers.
        _code.tilerelease();
        _code.vzeroupper();
        _code.ret();
        return entry;
    }

    /// <summary>Sixteen rows further.</summary>
    private void Below(AssemblerRegister64 below, AssemblerRegister64 row, AssemblerRegister64 stride)
    {
        _code.lea(below, __[row + stride * 8]);
        _code.lea(below, __[below + stride * 8]);
    }

    private void Fetch()
    {
        for (int i = 0; i < FetchesAtOnce / 2; i++)
        {
            _code.prefetcht1(__byte_ptr[s_ahead]);
            _code.add(s_ahead, s_ahead2);
        }
    }
}
