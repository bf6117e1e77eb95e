using System.Runtime.CompilerServices;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The linear map of every layer, with what follows it done while the results are still in the first cache:
/// <code>Y (T, N) = activation(X (T, K) · Wᵀ + b) [+ R (T, N)]</code>
/// K is summed in blocks of 256 whatever the shape: each block in order, the blocks in order. A block of W stays in the first
/// cache while the rows pass by, and the rounding error grows with K/256 + 256 terms, not with K. (Of bfloat16 512 are a block; AMX, which sums 32 products before it adds them,
/// takes all of K.)
/// </summary>
internal readonly unsafe struct MatMul : IKernel
{
    // 256 · 32 float32 are 32 KB: two thirds of the first cache of current processors.
    public const int InnerBlock = 256;

    // 192 rows · 256 float32 are 192 KB: with the 96 KB of Y that belong to them, well inside a second cache of 512 KB or more.
    private const int MostRows = 192;

    // 192 rows of them are 96 KB of Y, read and written once for every block of K.
    internal const int MaxColumnsPerPart = 128;

    internal static int MaxPanelsPerPart => MaxColumnsPerPart / Width;

    // Rows of Y begin a page each, so what follows the sums takes a few rows through all panels of a part before the next.
    internal const int RowsToFinish = 12;

    // A thread that falls behind holds the others up by a quarter of its work at most; smaller parts would read X more often.
    private const int PartsPerThread = 4;

    private static int Width => MatMulTile.PanelWidth;

    private readonly float* _x; // (T, K), or null where it is rounded
    private readonly nint _xStride;
    private readonly ushort* _rounded; // X as bfloat16 (T, padded K) where machine tiles multiply it, else null
    private readonly int _innerBlock;
    private readonly int _rows;
    private readonly PackedView _w; // (N / W, K, W), W the columns of a panel
    private readonly int _panelCount;
    private readonly float* _y; // (T, N)
    private readonly nint _yStride;
    private readonly float* _residual; // (T, N) or null
    private readonly nint _residualStride;
    private readonly Activation _activation;
    private readonly int _rowBlock;
    private readonly int _rowBlocks;
    private readonly int _panelsPerPart;
    private readonly int _threads;

    private MatMul(float* x, nint xStride, ushort* rounded, int rows, PackedMatrix w, int firstMap, int maps, float* y, nint yStride,
        Activation activation, float* residual, nint residualStride, int threads)
    {
        _x = x;
        _xStride = xStride;
        _rounded = rounded;
        _rows = rows;
        _w = w.View(firstMap);
        // As many bytes of W. AMX reads rows of X as fast from the second cache, and does not go through its sums again.
        _innerBlock = rounded == null ? InnerBlock : MachineTiles.HasAmx ? _w.Padded : 2 * InnerBlock;
        _panelCount = maps * w.PanelsPerMap;
        _y = y;
        _yStride = yStride;
        _activation = activation;
        _residual = residual;
        _residualStride = residualStride;
        _rowBlocks = (rows + MostRows - 1) / MostRows;
        _rowBlock = (rows + _rowBlocks - 1) / _rowBlocks;
        _threads = Math.Min(threads, Workers.Limit);
        _panelsPerPart = PanelsPerPart(_panelCount, _rowBlocks, _threads, MaxPanelsPerPart);
    }

    /// <summary>As many panels in a part as leave every thread several parts, and none much more than another.</summary>
    internal static int PanelsPerPart(int panels, int rowBlocks, int threads, int atMost)
    {
        int most = Math.Clamp(panels * rowBlocks / (PartsPerThread * threads), 1, atMost), best = most;
        for (int each = most - 1; each > 0 && threads > 1; each--)
            if (LongestWork(each) < LongestWork(best)) best = each;
        return best;

        int LongestWork(int each) => ((panels + each - 1) / each * rowBlocks + threads - 1) / threads * each;
    }

    /// <summary>
    /// Y = activation(X·Wᵀ + b) [+ R] for <paramref name="rows"/> rows, with maps <paramref name="firstMap"/>… of
    /// <paramref name="w"/> side by side in Y. Y holds partial sums on the way, so it must overlap neither X nor R.
    /// </summary>
    public static void Forward(float* x, nint xStride, int rows, PackedMatrix w, float* y, nint yStride, int threads,
        Activation activation = Activation.Linear, float* residual = null, nint residualStride = 0, int firstMap = 0, int maps = 0)
    {
        if (rows == 0) return;
        if (maps == 0) maps = w.Maps;
        if (w.Precision == Precision.Int8)
        {
            QuantizedMatMul.Forward(x, xStride, rows, w, y, yStride, threads, activation, residual, residualStride, firstMap, maps);
        }
        else if (w.Precision == Precision.BFloat16 && MachineTiles.HasBFloat16)
        {
            int padded = w.View(0).Padded, stride = AlignedBuffer.RowBytes(padded * sizeof(ushort)) / sizeof(ushort);
            using var memory = new Rented((long)rows * stride / 2);
            ushort* rounded = (ushort*)memory.Pointer;
            new BFloat16.Rows(x, xStride, rows, w.Inner, rounded, padded, stride, threads).Run();
            Run(new MatMul(null, stride, rounded, rows, w, firstMap, maps, y, yStride, activation, residual, residualStride, threads), w, threads);
        }
        else
        {
            Run(new MatMul(x, xStride, null, rows, w, firstMap, maps, y, yStride, activation, residual, residualStride, threads), w, threads);
        }
    }

    private static void Run(in MatMul kernel, PackedMatrix w, int threads)
    {
        int parts = kernel._rowBlocks * ((kernel._panelCount + kernel._panelsPerPart - 1) / kernel._panelsPerPart);
        if (kernel._rounded == null) Workers.Run(kernel, parts, threads);
        else Workers.RunInTiles(kernel, parts, threads);
        GC.KeepAlive(w);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<V>(int part, int worker) where V : struct, ISimd<V>
    {
        int firstRow = part % _rowBlocks * _rowBlock, rows = Math.Min(_rowBlock, _rows - firstRow);
        int firstPanel = part / _rowBlocks * _panelsPerPart, endPanel = Math.Min(firstPanel + _panelsPerPart, _panelCount);
        float* sums = stackalloc float[MaxColumnsPerPart * MostRows];
        float* scratch = stackalloc float[_w.NeedsScratch ? InnerBlock * Width : 0];
        bool linear = _activation == Activation.Linear;
        for (int k = 0; k < _w.Padded; k += _innerBlock)
        {
            int depth = Math.Min(_innerBlock, _w.Padded - k);
            bool last = k + depth == _w.Padded;
            for (int panel = firstPanel; panel < endPanel; panel++)
            {
                (nint first, int width) = _w.ColumnsOf(panel);
                float* own = sums + (nint)(panel - firstPanel) * rows * Width;
                float* y = _y + firstRow * _yStride + first;
                float* residual = _residual == null ? null : _residual + firstRow * _residualStride + first;
                byte* b = _w.Block(panel, k, depth, scratch);
                // What comes next; after the last block, most likely the panels that the other threads have left.
                byte* next = panel + 1 < endPanel ? _w.At(panel + 1, k) : !last ? _w.At(firstPanel, k + depth) : _w.At(firstPanel + _panelsPerPart * _threads, 0);
                // Sums stay side by side on the way, as rows of Y may lie so far apart that they fall into the same places of a cache.
                bool whole = linear && width == Width, direct = whole && last;
                var ends = new TileEnds { C = direct ? y : own, CStride = direct ? _yStride : Width, Added = own, AddedStride = Width };
                if (k == 0)
                {
                    // The first block starts from the bias and takes the residual along, which after an activation comes last.
                    ends.Start = _w.Bias(panel);
                    if (!linear || residual == null) ends.Added = null;
                    else if (whole) ends = ends with { Added = residual, AddedStride = _residualStride };
                    else Elementwise.CopyRows<V>(residual, _residualStride, own, Width, rows, width);
                }
                if (_rounded != null)
                {
                    TileCall call = ends.Call(_rounded + firstRow * _xStride + k, _xStride * sizeof(ushort), b, Width * sizeof(uint), depth / 2, next);
                    MachineTiles.MultiplyBFloat16(ref call, rows);
                }
                else
                {
                    float* a = _x + firstRow * _xStride + k;
                    if (_w.Precision == Precision.BFloat16) MatMulTile.Multiply<V, BFloat16Panel>(a, _xStride, 1, b, Width, ends, rows, depth, next);
                    else MatMulTile.Multiply<V, Float32Panel>(a, _xStride, 1, b, Width, ends, rows, depth, next);
                }
            }
        }
        for (int row = 0; row < rows; row += RowsToFinish)
            for (int panel = firstPanel; panel < endPanel; panel++)
            {
                (nint first, int width) = _w.ColumnsOf(panel);
                if (linear && width == Width) continue;
                nint at = firstRow + row;
                Finish<V>(_activation, sums + ((nint)(panel - firstPanel) * rows + row) * Width, _y + at * _yStride + first, _yStride,
                    linear || _residual == null ? null : _residual + at * _residualStride + first, _residualStride, Math.Min(RowsToFinish, rows - row), width);
            }
    }

    /// <summary>y (rows, width) = activation(sums (rows, W)) [+ residual]</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Finish<V>(Activation activation, float* sums, float* y, nint yStride, float* residual, nint residualStride, int rows, int width) where V : struct, ISimd<V>
    {
        ActivationFunctions.Apply<V>(activation, sums, Width, y, yStride, rows, width);
        for (int row = 0; residual != null && row < rows; row++) Elementwise.Add<V>(y + row * yStride, residual + row * residualStride, y + row * yStride, width);
    }

    /// <summary>
    /// The gradient of X from that of Y, for Y = X·Wᵀ + b:
    /// <code>dX (T, K) [+]= dY (T, N) · W (N, K)</code>
    /// </summary>
    public static void BackwardInput(float* dy, nint dyStride, int rows, float* w, int outputs, int inputs, float* dx, nint dxStride, bool add, int threads) =>
        Product.Run(dy, dyStride, 1, w, inputs, dx, dxStride, rows, outputs, inputs, add, threads);

    /// <summary>
    /// The gradients of the parameters from that of Y, for Y = X·Wᵀ + b:
    /// <code>dW (N, K) += dYᵀ (N, T) · X (T, K);  db (N) += Σ dY</code>
    /// Either may be null where nobody asks for it.
    /// </summary>
    public static void BackwardParameters(float* dy, nint dyStride, float* x, nint xStride, int rows, int outputs, int inputs, float* dw, float* db, int threads)
    {
        if (dw != null) Product.Run(dy, 1, dyStride, x, xStride, dw, inputs, outputs, rows, inputs, add: true, threads);
        if (db != null) Workers.Run(new ColumnSums(dy, dyStride, rows, outputs, db), RowParts.ColumnParts(outputs), threads);
    }

    /// <summary>db (N) += Σ dY (T, N) over the rows, in order.</summary>
    private readonly struct ColumnSums(float* dy, nint stride, int rows, int columns, float* db) : IKernel
    {
        private readonly float* _dy = dy, _db = db;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int first = part * RowParts.Columns, width = Math.Min(RowParts.Columns, columns - first);
            for (int row = 0; row < rows; row++) Elementwise.Add<V>(_db + first, _dy + row * stride + first, _db + first, width);
        }
    }
}
