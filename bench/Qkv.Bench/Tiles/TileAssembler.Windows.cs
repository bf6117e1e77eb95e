using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>How Windows enters the tiles: its argument is in another register, and it wants rsi, rdi and the lower quarters of vectors 6 to 15 back.</summary>
internal sealed partial class TileAssembler
{
    private Label[] Doors(string title, Label[] tiles, Label windows) => [.. tiles.Select((tile, row) =>
    {
        Label door = row == 0 ? Here(title) : Here();
        _code.lea(rax, __[tile]);
        _code.jmp(windows);
        return door;
    })];

    private void Windows()
    {
        _code.push(rsi);
        _code.push(rdi);
        KeepVectors(_code, () =>
        {
            _code.mov(s_call, rcx);
            _code.call(rax);
        });
        _code.pop(rdi);
        _code.pop(rsi);
        _code.ret();
    }

    /// <summary>Code after which the parts of vectors that a caller on Windows wants back are as they were before.</summary>
    internal static void KeepVectors(Assembler code, Action body)
    {
        AssemblerRegisterXMM[] kept = [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];
        const int size = 16;
        code.sub(rsp, kept.Length * size);
        for (int i = 0; i < kept.Length; i++) code.vmovups(__xmmword_ptr[rsp + i * size], kept[i]);
        body();
        for (int i = 0; i < kept.Length; i++) code.vmovups(kept[i], __xmmword_ptr[rsp + i * size]);
        code.add(rsp, kept.Length * size);
    }
}
