using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The parameters of a linear map y = W·x + b, laid out for <see cref="MatMulTile"/>: panels of W output features (<see cref="MatMulTile.PanelWidth"/>), each
/// (K, W) with the features of one input side by side. Several maps of the same input may be joined (Q, K and V are);
/// each joined map starts a new panel, so that one of them can be computed alone. Features that fill up a panel are zero.
/// A map that is an embedding table as well (the tied decoder of a masked language model) is not held twice: its panels are
/// packed while they are used.
/// </summary>
internal sealed unsafe class PackedMatrix
{
    private readonly AlignedBuffer? _panels; // (maps, panels, K, W); memory of that size for two bytes a number
    private readonly QuantizedPanels? _quantized; // in place of _panels
    private readonly EmbeddingTable? _table; // (columns, K)
    private readonly AlignedBuffer _bias; // (maps, panels, W)

    /// <param name="maps">How many maps are joined.</param>
    /// <param name="columns">Output features of each.</param>
    /// <param name="inner">Input features K.</param>
    /// <param name="precision">How W is held.</param>
    public PackedMatrix(int maps, int columns, int inner, Precision precision = Precision.Float32) : this(maps, columns, inner, precision, null)
    {
    }

    private PackedMatrix(int maps, int columns, int inner, Precision precision, EmbeddingTable? table)
    {
        (Maps, Columns, Inner, Precision, _table) = (maps, columns, inner, precision, table);
        PanelsPerMap = (columns + MatMulTile.PanelWidth - 1) / MatMulTile.PanelWidth;
        if (precision == Precision.Int8) _quantized = new QuantizedPanels(maps * PanelsPerMap, inner);
        else if (table == null) _panels = new AlignedBuffer((long)maps * PanelsPerMap * Padded(inner, precision) * RowBytes(precision) / sizeof(float));
        _bias = new AlignedBuffer((long)maps * PanelsPerMap * MatMulTile.PanelWidth, zeroed: true);
    }

    public int Maps { get; }

    public int Columns { get; }

    public int Inner { get; }

    public int PanelsPerMap { get; }

    public Precision Precision { get; }

    /// <summary>Bytes held here; a table's own bytes are counted where the table is.</summary>
    public long Size => ((long)(_panels?.Length ?? 0) + _bias.Length) * sizeof(float) + (_quantized?.Size ?? 0);

    /// <summary>A map whose W is the table: the logits of every entry.</summary>
    public static PackedMatrix Tied(EmbeddingTable table) => new(1, table.Rows, table.Columns, Precision.Float32, table);

    /// <summary>What the kernel reads, from map <paramref name="firstMap"/> on. Valid as long as this object is reachable.</summary>
    public PackedView View(int firstMap)
    {
        int panel = firstMap * PanelsPerMap;
        return new PackedView
        {
            Panels = _panels == null ? null : Panel(panel),
            Quantized = _quantized?.View(panel) ?? default,
            Table = _table?.View() ?? default,
            Biases = _bias.Pointer + (nint)panel * MatMulTile.PanelWidth,
            Columns = Columns,
            Inner = Inner,
            Padded = Padded(Inner, Precision),
            PanelsPerMap = PanelsPerMap,
            Precision = Precision,
        };
    }

    public void SetBias(int map, ReadOnlySpan<float> bias) => // (columns)
        bias.CopyTo(_bias.Span.Slice(map * PanelsPerMap * MatMulTile.PanelWidth, Columns));

    /// <summary>Asks for the memory of a panel that is about to be packed for the first time.</summary>
    public void Populate(int map, int panel)
    {
        if (_panels != null) AlignedBuffer.Populate(new Span<byte>(Panel(map * PanelsPerMap + panel), Padded(Inner, Precision) * RowBytes(Precision)));
    }

    /// <summary>Packs the rows of W, which is (columns, K) as checkpoints store it, that make up one panel.</summary>
    public void SetPanel(int map, int panel, ReadOnlySpan<float> rows) // (≤ W, K)
    {
        if (_quantized != null)
        {
            _quantized.Set(map * PanelsPerMap + panel, rows);
            return;
        }
        byte* destination = Panel(map * PanelsPerMap + panel);
        fixed (float* source = rows)
        {
            if (Precision == Precision.BFloat16) PackBFloat16(source, rows.Length / Inner, Inner, (ushort*)destination);
            else Pack(source, Inner, rows.Length / Inner, Inner, (float*)destination);
        }
    }

    /// <summary>Packs all of W (columns, K), which a table has already, and the bias (columns), which may be empty.</summary>
    public void Set(int map, ReadOnlySpan<float> w, ReadOnlySpan<float> bias)
    {
        int width = MatMulTile.PanelWidth;
        for (int panel = 0; _table == null && panel < PanelsPerMap; panel++)
        {
            int rows = Math.Min(width, Columns - panel * width);
            SetPanel(map, panel, w.Slice(panel * width * Inner, rows * Inner));
        }
        if (!bias.IsEmpty) SetBias(map, bias);
    }

    /// <summary>Row <paramref name="row"/> of a joined map's W (columns, K), as it is multiplied; of a map that is no table.</summary>
    public void Read(int map, int row, Span<float> numbers) // (K)
    {
        int width = MatMulTile.PanelWidth;
        if (_quantized != null)
        {
            _quantized.Read(map * PanelsPerMap + row / width, row % width, numbers);
            return;
        }
        byte* panel = Panel(map * PanelsPerMap + row / width);
        for (int i = 0; i < Inner; i++)
            numbers[i] = Precision == Precision.BFloat16
                ? BFloat16.Widen(((ushort*)panel)[BFloat16Place(i, row % width)])
                : ((float*)panel)[(nint)i * width + row % width];
    }

    /// <summary>The bias of a joined map (columns).</summary>
    public ReadOnlySpan<float> Bias(int map) => _bias.Span.Slice(map * PanelsPerMap * MatMulTile.PanelWidth, Columns);

    /// <summary>Transposes rows (count ≤ W, inner), <paramref name="stride"/> apart, into a panel (inner, W), with zeros beside the last row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack(float* rows, nint stride, int count, int inner, float* panel)
    {
        // The side of the squares that vectors turn, if any; what is left beside them goes by ones.
        int width = MatMulTile.PanelWidth, side = Avx.IsSupported ? 8 : AdvSimd.Arm64.IsSupported ? 4 : int.MaxValue, turned = count - count % side;
        if (count < width) new Span<float>(panel, inner * width).Clear();
        // Sixteen inputs at a time, a line of each row: rows may lie so that few of their lines fit into the first cache together.
        for (int start = 0; start < inner; start += 16)
        {
            int end = Math.Min(start + 16, inner), whole = end - (end - start) % side;
            for (int row = 0; row < turned; row += side)
                for (int i = start; i < whole; i += side)
                    if (Avx.IsSupported) Transpose8(rows + row * stride + i, stride, panel + (nint)i * width + row);
                    else Transpose4(rows + row * stride + i, stride, panel + (nint)i * width + row);
            for (int row = 0; row < count; row++)
                for (int i = row < turned ? whole : start; i < end; i++) panel[(nint)i * width + row] = rows[row * stride + i];
        }
    }

    /// <summary>(4, 4) → (4, 4) across: every second row goes between the others, twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose4(float* source, nint stride, float* panel)
    {
        Vector128<float> a = Vector128.Load(source), b = Vector128.Load(source + stride), c = Vector128.Load(source + 2 * stride), d = Vector128.Load(source + 3 * stride);
        (a, c) = (AdvSimd.Arm64.ZipLow(a, c), AdvSimd.Arm64.ZipHigh(a, c));
        (b, d) = (AdvSimd.Arm64.ZipLow(b, d), AdvSimd.Arm64.ZipHigh(b, d));
        int width = MatMulTile.PanelWidth;
        AdvSimd.Arm64.ZipLow(a, b).Store(panel);
        AdvSimd.Arm64.ZipHigh(a, b).Store(panel + width);
        AdvSimd.Arm64.ZipLow(c, d).Store(panel + 2 * width);
        AdvSimd.Arm64.ZipHigh(c, d).Store(panel + 3 * width);
    }

    /// <summary>(8, 8) → (8, 8) across: pairs, then fours, then eights change places.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose8(float* source, nint stride, float* panel)
    {
        Vector256<float> a = Vector256.Load(source), b = Vector256.Load(source + stride), c = Vector256.Load(source + 2 * stride), d = Vector256.Load(source + 3 * stride);
        Vector256<float> e = Vector256.Load(source + 4 * stride), f = Vector256.Load(source + 5 * stride), g = Vector256.Load(source + 6 * stride), h = Vector256.Load(source + 7 * stride);
        (a, b) = (Avx.UnpackLow(a, b), Avx.UnpackHigh(a, b));
        (c, d) = (Avx.UnpackLow(c, d), Avx.UnpackHigh(c, d));
        (e, f) = (Avx.UnpackLow(e, f), Avx.UnpackHigh(e, f));
        (g, h) = (Avx.UnpackLow(g, h), Avx.UnpackHigh(g, h));
        (a, c) = (Avx.Shuffle(a, c, 0x44), Avx.Shuffle(a, c, 0xee)); // columns 0, 1 of rows a … d, and 4, 5
        (b, d) = (Avx.Shuffle(b, d, 0x44), Avx.Shuffle(b, d, 0xee)); // 2, 3, and 6, 7
        (e, g) = (Avx.Shuffle(e, g, 0x44), Avx.Shuffle(e, g, 0xee));
        (f, h) = (Avx.Shuffle(f, h, 0x44), Avx.Shuffle(f, h, 0xee));
        int width = MatMulTile.PanelWidth;
        Avx.Permute2x128(a, e, 0x20).Store(panel);
        Avx.Permute2x128(c, g, 0x20).Store(panel + width);
        Avx.Permute2x128(b, f, 0x20).Store(panel + 2 * width);
        Avx.Permute2x128(d, h, 0x20).Store(panel + 3 * width);
        Avx.Permute2x128(a, e, 0x31).Store(panel + 4 * width);
        Avx.Permute2x128(c, g, 0x31).Store(panel + 5 * width);
        Avx.Permute2x128(b, f, 0x31).Store(panel + 6 * width);
        Avx.Permute2x128(d, h, 0x31).Store(panel + 7 * width);
    }

    /// <summary>The same with every number rounded to bfloat16: in pairs of inputs for the machine tiles, in the order of <see cref="BFloat16Panel"/> otherwise.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackBFloat16(float* rows, int count, int inner, ushort* panel)
    {
        const int together = 16;
        int width = MatMulTile.PanelWidth, vector = BFloat16Panel.Vector;
        float* across = stackalloc float[together * width]; // (16, W): sixteen inputs of every row
        if (Padded(inner, Precision.BFloat16) > inner) new Span<ushort>(panel, Padded(inner, Precision.BFloat16) * width).Clear();
        for (int start = 0; start < inner; start += together)
        {
            int depth = Math.Min(together, inner - start);
            Pack(rows + start, inner, count, depth, across);
            if (depth < together) new Span<float>(across + depth * width, width).Clear(); // what an odd last input is paired with
            uint* pairs = (uint*)(panel + (nint)start * width);
            if (MachineTiles.HasBFloat16)
                for (int i = 0; i < depth; i += 2) BFloat16.RoundPairs(across + i * width, across + (i + 1) * width, pairs + i / 2 * width, width);
            else
                for (int at = 0; at < depth * width; at += 2 * vector) BFloat16.RoundPairs(across + at, across + at + vector, pairs + at / 2, vector);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint BFloat16Place(int input, int column)
    {
        int width = MatMulTile.PanelWidth;
        return MachineTiles.HasBFloat16 ? (nint)(input / 2) * 2 * width + 2 * column + input % 2 : (nint)input * width + BFloat16Panel.Place(column);
    }

    /// <summary>Bytes of the W numbers of one input.</summary>
    internal static int RowBytes(Precision precision) => MatMulTile.PanelWidth * (precision == Precision.BFloat16 ? BFloat16Panel.Size : Float32Panel.Size);

    /// <summary>The inputs that a panel has room for: machine tiles take two at a time, AMX 32.</summary>
    private static int Padded(int inner, Precision precision) => precision == Precision.BFloat16 && MachineTiles.HasBFloat16 ? 2 * MachineTiles.WholeSteps((inner + 1) / 2) : inner;

    private byte* Panel(int panel) => (byte*)_panels!.Pointer + (nint)panel * Padded(Inner, Precision) * RowBytes(Precision);
}

/// <summary>A <see cref="PackedMatrix"/> as a kernel sees it.</summary>
internal unsafe struct PackedView
{
    public byte* Panels; // (panels, K, W) or null
    public QuantizedView Quantized; // where the precision is int8
    public EmbeddingView Table; // where there are neither
    public float* Biases; // (panels, W)
    public int Columns;
    public int Inner;
    public int Padded; // inputs that a panel has room for
    public int PanelsPerMap;
    public Precision Precision;

    /// <summary>Whether <see cref="Block"/> packs into scratch.</summary>
    public readonly bool NeedsScratch => Panels == null;

    /// <summary>Where the columns of a panel begin in a row of all maps, and how many there are.</summary>
    public readonly (nint First, int Width) ColumnsOf(int panel)
    {
        int column = panel % PanelsPerMap * MatMulTile.PanelWidth;
        return ((nint)(panel / PanelsPerMap) * Columns + column, Math.Min(MatMulTile.PanelWidth, Columns - column));
    }

    public readonly float* Bias(int panel) => Biases + (nint)panel * MatMulTile.PanelWidth;

    /// <summary>Where input k of a panel stands, to be fetched ahead: null where panels are packed while they are used.</summary>
    public readonly byte* At(int panel, int k) => Panels == null ? null : Panels + ((nint)panel * Padded + k) * PackedMatrix.RowBytes(Precision);

    /// <summary>Inputs k … k + depth of a panel: (depth, W), in place or packed into <paramref name="scratch"/>.</summary>
    public readonly byte* Block(int panel, int k, int depth, float* scratch)
    {
        int width = MatMulTile.PanelWidth;
        if (Panels != null) return At(panel, k);
        float* rows = stackalloc float[width * depth];
        int first = panel * width, count = Math.Min(width, Columns - first);
        for (int row = 0; row < count; row++) Table.Read(first + row, k, depth, rows + row * depth);
        PackedMatrix.Pack(rows, depth, count, depth, scratch);
        return (byte*)scratch;
    }
}
