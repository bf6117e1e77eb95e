using System.Runtime.InteropServices;
using Iced.Intel;
using Qkv.Kernels.MachineCode;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>The machine code of every tile, as one piece that may stand anywhere; where each tile begins; and what stands where, in words.</summary>
internal sealed record TileBinary(byte[] Code, TileEntries SystemV, TileEntries Windows, AmxEntries Amx, SortedDictionary<int, string> Titles);

/// <summary>Where the tiles of 1, 2, … rows begin.</summary>
internal sealed record TileEntries(int[] Float32, int[] BFloat16, int[] Int8);

/// <summary>Where the AMX tiles begin: the one of up to 16 rows and the one of up to 32.</summary>
internal sealed record AmxEntries(int[] BFloat16, int[] Int8);

/// <summary>
/// Assembles the register tiles. A tile of n rows calls the common start (pointers, accumulators), runs its own loop over k, calls into a common end that goes from
/// its last row up to the first, and begins again with the rows below. Two vectors of B and one broadcast of A feed 2·n accumulators,
/// which stay in registers; each takes k in order, so the bits of an element do not depend on the height of the tile.
/// Measured on Zen 5: 99 % of the instruction's peak. A as a broadcast operand of the product itself reaches 88 % (it is loaded twice);
/// 13 and 14 rows, and loops of two and four steps, are no faster.
/// </summary>
internal sealed partial class TileAssembler
{
    // Rows that one base register reaches: itself, and with the stride once and twice.
    private const int RowsPerBase = 3;

    // Two vectors of 16 columns.
    private const int VectorBytes = 64;

    // System V lets a callee change all of these. Windows wants rsi, rdi and the lower quarters of vectors 6 to 15 back: see Windows().
    private static readonly AssemblerRegister64 s_call = rdi, s_stride = r11, s_b = rdx, s_steps = rcx, s_next = rax, s_c = rcx, s_cStride = rdx, s_added = rsi, s_addedStride = r8;
    private static readonly AssemblerRegister64[] s_bases = [rsi, r8, r9, r10];
    private static readonly AssemblerRegisterZMM s_left = zmm28, s_right = zmm29;

    // By turns, though the processor renames them: it costs nothing.
    private static readonly AssemblerRegisterZMM[] s_a = [zmm30, zmm31];

    private readonly Assembler _code = new(64);
    private readonly List<(Label Label, string Title)> _titles = [];

    private TileAssembler()
    {
    }

    /// <summary>Product of a broadcast of A and a vector of B, onto a sum.</summary>
    private delegate void Product(AssemblerRegisterZMM sum, AssemblerRegisterZMM a, AssemblerRegisterZMM b);

    /// <summary>Memory added onto a sum.</summary>
    private delegate void Sum(AssemblerRegisterZMM sum, AssemblerMemoryOperand added);

    public static TileBinary Assemble() => new TileAssembler().All();

    private TileBinary All()
    {
        Label start = Here("start: pointers, accumulators; the flags say whether there are steps");
        Start();
        Label[] store = Labels(), addFloats = Labels(), addIntegers = Labels();
        Label[] float32 = Tiles("float32", (sum, a, b) => _code.vfmadd231ps(sum, a, b), start, addFloats, store);
        Label[] bfloat16 = Tiles("bfloat16", (sum, a, b) => _code.vdpbf16ps(sum, a, b), start, addFloats, store);
        Label[] int8 = Tiles("int8", (sum, a, b) => _code.vpdpbusd(sum, a, b), start, addIntegers, store);
        End("end: C = the sums, from the last row to the first", store, null);
        End("end: C = the sums + what is added, float32", addFloats, (sum, added) => _code.vaddps(sum, sum, added));
        End("end: C = the sums + what is added, int32", addIntegers, (sum, added) => _code.vpaddd(sum, sum, added));
        Label[] amxBFloat16 = AmxTiles("AMX, bfloat16", (sum, a, b) => _code.tdpbf16ps(sum, a, b), (sum, start) => _code.vaddps(sum, sum, start));
        Label[] amxInt8 = AmxTiles("AMX, int8", (sum, a, b) => _code.tdpbusd(sum, a, b), (sum, start) => _code.vpaddd(sum, sum, start));
        Label windows = _code.CreateLabel();
        Label[] float32Windows = Doors("Windows, float32: the tile's address, and on", float32, windows), bfloat16Windows = Doors("Windows, bfloat16", bfloat16, windows),
            int8Windows = Doors("Windows, int8", int8, windows);
        _code.Label(ref windows);
        _titles.Add((windows, "Windows: keeps what the caller wants back, and puts the argument where System V has it"));
        Windows();

        using var bytes = new MemoryStream();
        AssemblerResult result = _code.Assemble(new StreamCodeWriter(bytes), 0, BlockEncoderOptions.ReturnNewInstructionOffsets);
        return new TileBinary(bytes.ToArray(), new TileEntries(Offsets(float32), Offsets(bfloat16), Offsets(int8)),
            new TileEntries(Offsets(float32Windows), Offsets(bfloat16Windows), Offsets(int8Windows)),
            new AmxEntries(Offsets(amxBFloat16), Offsets(amxInt8)), new SortedDictionary<int, string>(_titles.ToDictionary(title => Offset(title.Label), title => title.Title)));

        int[] Offsets(Label[] labels) => [.. labels.Select(Offset)];
        int Offset(Label label) => (int)result.GetLabelRIP(label);
    }

    private void Start()
    {
        _code.mov(s_bases[0], Argument(nameof(TileCall.A)));
        _code.mov(s_stride, Argument(nameof(TileCall.AStride)));
        _code.mov(s_b, Argument(nameof(TileCall.B)));
        _code.mov(s_steps, Argument(nameof(TileCall.Steps)));
        AssemblerRegister64 last = s_bases[^1];
        _code.lea(last, __[s_stride + s_stride * 2]);
        for (int i = 1; i < s_bases.Length; i++) _code.lea(s_bases[i], __[s_bases[i - 1] + last]);
        Label zero = _code.CreateLabel(), rows = _code.CreateLabel();
        _code.mov(rax, Argument(nameof(TileCall.Start)));
        _code.test(rax, rax);
        _code.je(zero);
        _code.vmovdqu32(Left(0), __zmmword_ptr[rax]);
        _code.vmovdqu32(Right(0), __zmmword_ptr[rax + VectorBytes]);
        _code.jmp(rows);
        _code.Label(ref zero);
        _code.vpxord(Left(0), Left(0), Left(0));
        _code.vpxord(Right(0), Right(0), Right(0));
        _code.Label(ref rows);
        for (int row = 1; row < MachineTiles.Rows; row++)
        {
            _code.vmovdqa32(Left(row), Left(0));
            _code.vmovdqa32(Right(row), Right(0));
        }
        _code.mov(s_next, Argument(nameof(TileCall.Next)));
        _code.test(s_steps, s_steps);
        _code.ret();
    }

    /// <summary>The tile of every height.</summary>
    private Label[] Tiles(string name, Product product, Label start, Label[] add, Label[] store) => [.. Enumerable.Range(1, MachineTiles.Rows).Select(rows =>
    {
        Label tile = Here($"{name}, {rows} {(rows == 1 ? "row" : "rows")}");
        Tile(tile, rows, product, start, add[rows - 1], store[rows - 1]);
        return tile;
    })];

    private void Tile(Label tile, int rows, Product product, Label start, Label add, Label store)
    {
        Label step = _code.CreateLabel(), end = _code.CreateLabel(), stored = _code.CreateLabel(), plain = _code.CreateLabel();
        _code.call(start);
        _code.jle(end);
        _code.Label(ref step);
        _code.prefetcht1(__byte_ptr[s_next]);
        _code.add(s_next, Argument(nameof(TileCall.Ahead)));
        _code.vmovdqu32(s_left, __zmmword_ptr[s_b]);
        _code.vmovdqu32(s_right, __zmmword_ptr[s_b + VectorBytes]);
        for (int row = 0; row < rows; row++)
        {
            AssemblerRegisterZMM a = s_a[row % s_a.Length];
            AssemblerRegister64 first = s_bases[row / RowsPerBase];
            _code.vpbroadcastd(a, (row % RowsPerBase) switch
            {
                0 => __dword_ptr[first],
                1 => __dword_ptr[first + s_stride],
                _ => __dword_ptr[first + s_stride * 2],
            });
            product(Left(row), a, s_left);
            product(Right(row), a, s_right);
        }
        for (int row = 0; row < rows; row += RowsPerBase) _code.add(s_bases[row / RowsPerBase], sizeof(int));
        _code.add(s_b, Argument(nameof(TileCall.BStride)));
        _code.dec(s_steps);
        _code.jnz(step);
        _code.Label(ref end);
        // Everything that counts rows goes on to the rows below, from where the end goes back up.
        _code.mov(Argument(nameof(TileCall.Next)), s_next);
        _code.imul(s_stride, s_stride, rows);
        _code.add(Argument(nameof(TileCall.A)), s_stride);
        _code.mov(s_cStride, Argument(nameof(TileCall.CStride)));
        _code.imul(s_c, s_cStride, rows);
        _code.add(s_c, Argument(nameof(TileCall.C)));
        _code.mov(Argument(nameof(TileCall.C)), s_c);
        _code.mov(s_added, Argument(nameof(TileCall.Added)));
        _code.test(s_added, s_added);
        _code.je(plain);
        _code.mov(s_addedStride, Argument(nameof(TileCall.AddedStride)));
        _code.imul(s_next, s_addedStride, rows);
        _code.add(s_added, s_next);
        _code.mov(Argument(nameof(TileCall.Added)), s_added);
        _code.call(add);
        _code.jmp(stored);
        _code.Label(ref plain);
        _code.call(store);
        _code.Label(ref stored);
        _code.dec(Argument(nameof(TileCall.Tiles)));
        _code.jnz(tile);
        _code.vzeroupper();
        _code.ret();
    }

    /// <summary>From the row of each label up to the first, and back to the tile.</summary>
    private void End(string title, Label[] rows, Sum? sum)
    {
        for (int row = rows.Length - 1; row >= 0; row--)
        {
            _code.Label(ref rows[row]);
            if (sum != null)
            {
                _code.sub(s_added, s_addedStride);
                sum(Left(row), __zmmword_ptr[s_added]);
                sum(Right(row), __zmmword_ptr[s_added + VectorBytes]);
            }
            _code.sub(s_c, s_cStride);
            _code.vmovdqu32(__zmmword_ptr[s_c], Left(row));
            _code.vmovdqu32(__zmmword_ptr[s_c + VectorBytes], Right(row));
        }
        _titles.Add((rows[^1], title));
        _code.ret();
    }

    private Label[] Doors(string title, Label[] tiles, Label windows) => [.. tiles.Select((tile, row) =>
    {
        Label door = row == 0 ? Here(title) : Here();
        _code.lea(rax, __[tile]);
        _code.jmp(windows);
        return door;
    })];

    private void Windows()
    {
        AssemblerRegisterXMM[] kept = [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];
        const int size = 16;
        _code.push(rsi);
        _code.push(rdi);
        _code.sub(rsp, kept.Length * size);
        for (int i = 0; i < kept.Length; i++) _code.vmovups(__xmmword_ptr[rsp + i * size], kept[i]);
        _code.mov(s_call, rcx);
        _code.call(rax);
        for (int i = 0; i < kept.Length; i++) _code.vmovups(kept[i], __xmmword_ptr[rsp + i * size]);
        _code.add(rsp, kept.Length * size);
        _code.pop(rdi);
        _code.pop(rsi);
        _code.ret();
    }

    private static AssemblerRegisterZMM Left(int row) => new(Register.ZMM0 + 2 * row);

    private static AssemblerRegisterZMM Right(int row) => new(Register.ZMM0 + 2 * row + 1);

    private static AssemblerMemoryOperand Argument(string field) => __qword_ptr[s_call + (int)Marshal.OffsetOf<TileCall>(field)];

    private Label Here()
    {
        Label label = _code.CreateLabel();
        _code.Label(ref label);
        return label;
    }

    private Label Here(string title)
    {
        Label label = Here();
        _titles.Add((label, title));
        return label;
    }

    private Label[] Labels() => [.. Enumerable.Range(0, MachineTiles.Rows).Select(_ => _code.CreateLabel())];
}
