using System.Runtime.InteropServices;
using Iced.Intel;
using Qkv.Kernels.MachineCode;
using static Iced.Intel.AssemblerRegisters;

namespace Qkv.Bench.Tiles;

/// <summary>The machine code of every tile, as one piece that may stand anywhere; where each tile begins; and what stands where, in words.</summary>
internal sealed record TileBinary(byte[] Code, TileEntries[] Entries, SortedDictionary<int, string> Titles);

/// <summary>Where the tiles of one kind begin, by their height; then, but for AMX, where Windows enters them.</summary>
internal sealed record TileEntries(string Name, int[] Offsets);

/// <summary>
/// Assembles the register tiles. A tile of n rows calls the common start (pointers, accumulators), runs its own loop over k, calls into a common end that goes from
/// its last row up to the first, and begins again with the rows below. Two vectors of B and one broadcast of A feed 2·n accumulators,
/// which stay in registers; each takes k in order, so the bits of an element do not depend on the height of the tile.
/// </summary>
internal sealed partial class TileAssembler
{
    // Rows that one base register reaches: itself, and with the stride once and twice.
    private const int RowsPerBase = 3;

    // System V lets a callee change all of these. Windows wants rsi, rdi and the lower quarters of vectors 6 to 15 back: see Windows().
    private static readonly AssemblerRegister64 s_call = rdi, s_stride = r11, s_b = rdx, s_steps = rcx, s_next = rax, s_c = rcx, s_cStride = rdx, s_added = rsi, s_addedStride = r8;

    private readonly Assembler _code = new(64);
    private readonly List<(Label Label, string Title)> _titles = [];

    // What the tiles that are being assembled are made of, and what they call.
    private VectorInstructions _vectors = new Avx512Instructions();
    private Label _start, _rowsBelow;

    private AssemblerRegister64 FirstRow => _vectors.Bases[0];

    private TileAssembler()
    {
    }

    /// <summary>Loads the two vectors of B of one step, so many steps after the next.</summary>
    private delegate void Parameters(int step);

    /// <summary>Products of a broadcast of A and the two vectors of B, onto the sums of a row.</summary>
    private delegate void Products(int row, int a, int step);

    /// <summary>Product of a broadcast of A and a vector of B, onto a sum.</summary>
    private delegate void Product(int sum, int a, int b);

    /// <summary>Memory added onto a sum.</summary>
    private delegate void Sum(int sum, AssemblerMemoryOperand added);

    public static TileBinary Assemble() => new TileAssembler().All();

    private TileBinary All()
    {
        Start("start: pointers, accumulators; the flags say whether there are steps");
        Label[] store = Labels(), addFloats = Labels(), addIntegers = Labels();
        Label[] float32 = Tiles("float32", Vectors, Both((sum, a, b) => _code.vfmadd231ps(Zmm(sum), Zmm(a), Zmm(b))), addFloats, store);
        Label[] bfloat16 = Tiles("bfloat16", Vectors, Both((sum, a, b) => _code.vdpbf16ps(Zmm(sum), Zmm(a), Zmm(b))), addFloats, store);
        Label[] int8 = Tiles("int8", Vectors, Both((sum, a, b) => _code.vpdpbusd(Zmm(sum), Zmm(a), Zmm(b))), addIntegers, store);
        End("end: C = the sums, from the last row to the first", store, null);
        End("end: C = the sums + what is added, float32", addFloats, (sum, added) => _code.vaddps(Zmm(sum), Zmm(sum), added));
        End("end: C = the sums + what is added, int32", addIntegers, (sum, added) => _code.vpaddd(Zmm(sum), Zmm(sum), added));
        Label[] amxBFloat16 = AmxTiles("AMX, bfloat16", (sum, a, b) => _code.tdpbf16ps(sum, a, b), (sum, start) => _code.vaddps(sum, sum, start));
        Label[] amxInt8 = AmxTiles("AMX, int8", (sum, a, b) => _code.tdpbusd(sum, a, b), (sum, start) => _code.vpaddd(sum, sum, start));
        Label windows = _code.CreateLabel();
        Label[] float32Windows = Doors("Windows, float32: the tile's address, and on", float32, windows), bfloat16Windows = Doors("Windows, bfloat16", bfloat16, windows),
            int8Windows = Doors("Windows, int8", int8, windows);
        _code.Label(ref windows);
        _titles.Add((windows, "Windows: keeps what the caller wants back, and puts the argument where System V has it"));
        Windows();

        _vectors = new Avx2Instructions();
        Start("AVX2, start");
        RowsBelow("AVX2, the first lines of the rows below");
        Label[] store256 = Labels(), addFloats256 = Labels(), addIntegers256 = Labels();
        Label[] avx2Float32 = Tiles("AVX2, float32", Vectors, Both(Fma), addFloats256, store256);
        Label[] avx2BFloat16 = Tiles("AVX2, float32 by bfloat16 that is widened", Widened, Both(Fma), addFloats256, store256);
        Label[] avx2Int8 = Tiles("AVX2, int8 in pairs", LeftVector, Pairs, addIntegers256, store256);
        End("AVX2, end: C = the sums", store256, null);
        End("AVX2, end: C = the sums + what is added, float32", addFloats256, (sum, added) => _code.vaddps(Ymm(sum), Ymm(sum), added));
        End("AVX2, end: C = the sums + what is added, int32", addIntegers256, (sum, added) => _code.vpaddd(Ymm(sum), Ymm(sum), added));
        Label[] avx2Float32Windows = Doors("Windows, AVX2, float32", avx2Float32, windows), avx2BFloat16Windows = Doors("Windows, AVX2, bfloat16", avx2BFloat16, windows),
            avx2Int8Windows = Doors("Windows, AVX2, int8", avx2Int8, windows);

        using var bytes = new MemoryStream();
        AssemblerResult result = _code.Assemble(new StreamCodeWriter(bytes), 0, BlockEncoderOptions.ReturnNewInstructionOffsets);
        return new TileBinary(bytes.ToArray(),
        [
            Entries("AmxBFloat16", amxBFloat16), Entries("AmxInt8", amxInt8),
            Entries("Float32", [.. float32, .. float32Windows]), Entries("BFloat16", [.. bfloat16, .. bfloat16Windows]), Entries("Int8", [.. int8, .. int8Windows]),
            Entries("Avx2Float32", [.. avx2Float32, .. avx2Float32Windows]), Entries("Avx2BFloat16", [.. avx2BFloat16, .. avx2BFloat16Windows]), Entries("Avx2Int8", [.. avx2Int8, .. avx2Int8Windows]),
        ], new SortedDictionary<int, string>(_titles.ToDictionary(title => Offset(title.Label), title => title.Title)));

        TileEntries Entries(string name, Label[] labels) => new(name, [.. labels.Select(Offset)]);
        int Offset(Label label) => (int)result.GetLabelRIP(label);
        void Fma(int sum, int a, int b) => _code.vfmadd231ps(Ymm(sum), Ymm(a), Ymm(b));
        Products Both(Product product) => (row, a, _) =>
        {
            product(Left(row), a, _vectors.B.Left);
            product(Right(row), a, _vectors.B.Right);
        };
    }

    /// <summary>B as it is.</summary>
    private void Vectors(int step)
    {
        _vectors.Load(_code, _vectors.B.Left, B(step, 0));
        _vectors.Load(_code, _vectors.B.Right, B(step, _vectors.Bytes));
    }

    /// <summary>Interleaved bfloat16: the lower halves are the left vector, the upper ones the right.</summary>
    private void Widened(int step)
    {
        (int left, int right) = _vectors.B;
        _vectors.Load(_code, right, B(step, 0));
        _code.vpslld(Ymm(left), Ymm(right), 16);
        // Every second half from the zero.
        _code.vpblendw(Ymm(right), Ymm(right), Ymm(Avx2Instructions.Spare), 0x55);
    }

    /// <summary>One vector of B: where the other would be are ones.</summary>
    private void LeftVector(int step) => _vectors.Load(_code, _vectors.B.Left, B(step, 0));

    /// <summary>
    /// Products of neighbours added in 16 bits, pairs of pairs in 32, and onto the sums. The vectors take turns, which by itself measured a
    /// hundredth faster than one after the other.
    /// </summary>
    private void Pairs(int row, int a, int step)
    {
        AssemblerRegisterYMM left = Ymm(a), right = Ymm(Avx2Instructions.Spare), ones = Ymm(_vectors.B.Right);
        _code.vpmaddubsw(right, left, B(step, _vectors.Bytes));
        _code.vpmaddubsw(left, left, Ymm(_vectors.B.Left));
        _code.vpmaddwd(right, right, ones);
        _code.vpmaddwd(left, left, ones);
        _code.vpaddd(Ymm(Right(row)), Ymm(Right(row)), right);
        _code.vpaddd(Ymm(Left(row)), Ymm(Left(row)), left);
    }

    private AssemblerMemoryOperand B(int step, int offset) => step == 0 ? __[s_b + offset] : __[s_b + _vectors.Distances!.Value.BStride * step + offset];

    private void Start(string title)
    {
        _start = Here(title);
        FetchSums();
        _code.mov(FirstRow, Argument(nameof(TileCall.A)));
        _code.mov(s_stride, Argument(nameof(TileCall.AStride)));
        FollowingBases();
        _code.mov(s_b, Argument(nameof(TileCall.B)));
        _code.mov(s_steps, Argument(nameof(TileCall.Steps)));
        Label zero = _code.CreateLabel(), rows = _code.CreateLabel();
        _code.mov(rax, Argument(nameof(TileCall.Start)));
        _code.test(rax, rax);
        _code.je(zero);
        _vectors.Load(_code, Left(0), __[rax]);
        _vectors.Load(_code, Right(0), __[rax + _vectors.Bytes]);
        _code.jmp(rows);
        _code.Label(ref zero);
        _vectors.Zero(_code, Left(0));
        _vectors.Zero(_code, Right(0));
        _code.Label(ref rows);
        for (int row = 1; row < _vectors.Rows; row++)
        {
            _vectors.Copy(_code, Left(row), Left(0));
            _vectors.Copy(_code, Right(row), Right(0));
        }
        if (_vectors is Avx2Instructions)
        {
            _vectors.Zero(_code, Avx2Instructions.Spare);
            AssemblerRegisterYMM ones = Ymm(_vectors.B.Right);
            _code.vpcmpeqw(ones, ones, ones);
            _code.vpabsw(ones, ones);
        }
        if (_vectors.Distances is { } distances)
        {
            _code.mov(distances.Ahead, Argument(nameof(TileCall.Ahead)));
            _code.mov(distances.BStride, Argument(nameof(TileCall.BStride)));
        }
        _code.mov(s_next, Argument(nameof(TileCall.Next)));
        _code.test(s_steps, s_steps);
        _code.ret();
    }

    /// <summary>From the first base register, three rows on for each other.</summary>
    private void FollowingBases()
    {
        AssemblerRegister64[] bases = _vectors.Bases;
        AssemblerRegister64 last = bases[^1];
        _code.lea(last, __[s_stride + s_stride * 2]);
        for (int i = 1; i < bases.Length; i++) _code.lea(bases[i], __[bases[i - 1] + last]);
    }

    /// <summary>What will be written and added at the end has been pushed out of the first cache, or was never there: it is asked for before the steps.</summary>
    private void FetchSums()
    {
        AssemblerRegister64 row = rax, stride = s_steps; // which are free until the start has them
        Label nothing = _code.CreateLabel();
        _code.mov(row, Argument(nameof(TileCall.C)));
        _code.mov(stride, Argument(nameof(TileCall.CStride)));
        Rows(_code.prefetchw);
        _code.mov(row, Argument(nameof(TileCall.Added)));
        _code.test(row, row);
        _code.je(nothing);
        _code.cmp(row, Argument(nameof(TileCall.C)));
        _code.je(nothing);
        _code.mov(stride, Argument(nameof(TileCall.AddedStride)));
        Rows(_code.prefetcht0);
        _code.Label(ref nothing);

        void Rows(Action<AssemblerMemoryOperand> fetch)
        {
            for (int i = 0; i < _vectors.Rows; i++)
            {
                for (int offset = 0; offset < 2 * _vectors.Bytes; offset += LineBytes) fetch(__byte_ptr[row + offset]);
                _code.add(row, stride);
            }
        }
    }

    /// <summary>The first lines of the rows below, which no processor foresees, come while the sums are stored.</summary>
    private void RowsBelow(string title)
    {
        _rowsBelow = Here(title);
        FollowingBases();
        for (int line = 0; line < 3; line++)
            foreach (AssemblerRegister64 row in _vectors.Bases)
            {
                _code.prefetcht0(__byte_ptr[row + line * LineBytes]);
                _code.prefetcht0(__byte_ptr[row + s_stride + line * LineBytes]);
                _code.prefetcht0(__byte_ptr[row + s_stride * 2 + line * LineBytes]);
            }
        _code.ret();
    }

    /// <summary>The tile of every height.</summary>
    private Label[] Tiles(string name, Parameters parameters, Products products, Label[] add, Label[] store) => [.. Enumerable.Range(1, _vectors.Rows).Select(rows =>
    {
        Label tile = Here($"{name}, {rows} {(rows == 1 ? "row" : "rows")}");
        Tile(tile, rows, parameters, products, add[rows - 1], store[rows - 1]);
        return tile;
    })];

    private void Tile(Label tile, int rows, Parameters parameters, Products products, Label add, Label store)
    {
        Label step = _code.CreateLabel(), end = _code.CreateLabel(), stored = _code.CreateLabel(), plain = _code.CreateLabel();
        _code.call(_start);
        _code.jle(end);
        if (_vectors.StepsAtOnce == 1)
        {
            _code.Label(ref step);
            Steps(rows, 1, parameters, products);
            _code.dec(s_steps);
            _code.jnz(step);
        }
        else
        {
            Label odd = _code.CreateLabel();
            _code.sub(s_steps, 2);
            _code.jl(odd);
            _code.Label(ref step);
            Steps(rows, 2, parameters, products);
            _code.sub(s_steps, 2);
            _code.jge(step);
            _code.Label(ref odd);
            _code.inc(s_steps); // 0 where one is left, else -1
            _code.jnz(end);
            Steps(rows, 1, parameters, products);
        }
        _code.Label(ref end);
        // Everything that counts rows goes on to the rows below, from where the end goes back up.
        _code.mov(Argument(nameof(TileCall.Next)), s_next);
        _code.imul(FirstRow, s_stride, rows);
        _code.add(FirstRow, Argument(nameof(TileCall.A)));
        _code.mov(Argument(nameof(TileCall.A)), FirstRow);
        // With 512 bits a line of each row lasts so long that asking for the next costs more than it brings: docs/decisions/0012-avx2.md.
        if (_vectors is Avx2Instructions) _code.call(_rowsBelow);
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

    /// <summary>One step or two, and the pointers go on.</summary>
    private void Steps(int rows, int steps, Parameters parameters, Products products)
    {
        AssemblerRegister64[] bases = _vectors.Bases;
        for (int step = 0; step < steps; step++)
        {
            _code.prefetcht1(__byte_ptr[s_next]);
            if (_vectors.Distances is { } distances) _code.add(s_next, distances.Ahead);
            else _code.add(s_next, Argument(nameof(TileCall.Ahead)));
            parameters(step);
            for (int row = 0; row < rows; row++)
            {
                int a = _vectors.A[row % _vectors.A.Length], offset = step * sizeof(int);
                AssemblerRegister64 first = bases[row / RowsPerBase];
                _vectors.Broadcast(_code, a, (row % RowsPerBase) switch
                {
                    0 => __dword_ptr[first + offset],
                    1 => __dword_ptr[first + s_stride + offset],
                    _ => __dword_ptr[first + s_stride * 2 + offset],
                });
                products(row, a, step);
            }
        }
        for (int row = 0; row < rows; row += RowsPerBase) _code.add(bases[row / RowsPerBase], steps * sizeof(int));
        if (_vectors.Distances is not { BStride: var stride }) _code.add(s_b, Argument(nameof(TileCall.BStride)));
        else if (steps == 1) _code.add(s_b, stride);
        else _code.lea(s_b, __[s_b + stride * steps]);
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
                sum(Left(row), __[s_added]);
                sum(Right(row), __[s_added + _vectors.Bytes]);
            }
            _code.sub(s_c, s_cStride);
            _vectors.Store(_code, __[s_c], Left(row));
            _vectors.Store(_code, __[s_c + _vectors.Bytes], Right(row));
        }
        _titles.Add((rows[^1], title));
        _code.ret();
    }

    private static int Left(int row) => 2 * row;

    private static int Right(int row) => 2 * row + 1;

    private static AssemblerRegisterZMM Zmm(int vector) => Avx512Instructions.Zmm(vector);

    private static AssemblerRegisterYMM Ymm(int vector) => Avx2Instructions.Ymm(vector);

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

    private Label[] Labels() => [.. Enumerable.Range(0, _vectors.Rows).Select(_ => _code.CreateLabel())];
}
