using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// The plain matrix product of the backward passes, of matrices that are used once and so are not worth packing ahead:
/// <code>C (M, N) [+]= A (M, K) · B (K, N)</code>
/// A may be transposed in memory (element (i, k) lies at i·aStride + k·aStep). Blocks of A and B are copied next to each other
/// while they are used; K is summed in blocks of 256 in order, as in <see cref="MatMul"/>.
/// </summary>
internal readonly unsafe struct Product : IKernel
{
    private const int InnerBlock = MatMul.InnerBlock;

    // 96 · 256 float32 of A are 96 KB: they stay in the second cache while the panels of B pass by.
    private const int RowBlock = 96;
    private static int Width => MatMulTile.PanelWidth;

    private readonly float* _a;
    private readonly nint _aStride, _aStep;
    private readonly float* _b;
    private readonly nint _bStride;
    private readonly float* _c;
    private readonly nint _cStride;
    private readonly int _rows, _inner, _columns, _rowBlocks, _columnsPerPart;
    private readonly bool _add;

    private Product(float* a, nint aStride, nint aStep, float* b, nint bStride, float* c, nint cStride, int rows, int inner, int columns, bool add, int threads)
    {
        _a = a;
        _aStride = aStride;
        _aStep = aStep;
        _b = b;
        _bStride = bStride;
        _c = c;
        _cStride = cStride;
        _rows = rows;
        _inner = inner;
        _columns = columns;
        _add = add;
        _rowBlocks = (rows + RowBlock - 1) / RowBlock;
        int panels = (columns + Width - 1) / Width;
        // Copying A is paid once a part, so a part should have several panels; but every thread should have several parts.
        _columnsPerPart = Math.Clamp(panels * _rowBlocks / (4 * Math.Min(threads, Workers.Limit)), 1, 16) * Width;
    }

    public static void Run(float* a, nint aStride, nint aStep, float* b, nint bStride, float* c, nint cStride, int rows, int inner, int columns, bool add, int threads)
    {
        if (rows == 0 || columns == 0) return;
        var kernel = new Product(a, aStride, aStep, b, bStride, c, cStride, rows, inner, columns, add, threads);
        Workers.Run(kernel, kernel._rowBlocks * ((columns + kernel._columnsPerPart - 1) / kernel._columnsPerPart), threads);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<V>(int part, int worker) where V : struct, ISimd<V>
    {
        int firstRow = part % _rowBlocks * RowBlock, rows = Math.Min(RowBlock, _rows - firstRow);
        int firstColumn = part / _rowBlocks * _columnsPerPart, endColumn = Math.Min(firstColumn + _columnsPerPart, _columns);
        float* bBlock = stackalloc float[InnerBlock * Width];
        float* aBlock = stackalloc float[_aStep == 1 ? 0 : InnerBlock * RowBlock];
        float* edge = stackalloc float[RowBlock * Width];
        for (int k = 0; k < _inner; k += InnerBlock)
        {
            int depth = Math.Min(InnerBlock, _inner - k);
            bool add = _add || k > 0;
            float* a = _a + firstRow * _aStride + k * _aStep;
            nint aStride = _aStride, aStep = _aStep;
            if (_aStep != 1)
            {
                // The rows of a transposed A are far apart in memory: side by side they stay in the cache.
                Elementwise.CopyRows<V>(a, _aStep, aBlock, RowBlock, depth, rows);
                a = aBlock;
                aStride = 1;
                aStep = RowBlock;
            }
            for (int column = firstColumn; column < endColumn; column += Width)
            {
                int width = Math.Min(Width, endColumn - column);
                if (width < Width) new Span<float>(bBlock, depth * Width).Clear();
                Elementwise.CopyRows<V>(_b + k * _bStride + column, _bStride, bBlock, Width, depth, width);
                float* c = _c + firstRow * _cStride + column;
                bool whole = width == Width;
                if (!whole && add) Elementwise.CopyRows<V>(c, _cStride, edge, Width, rows, width);
                MatMulTile.Multiply<V>(a, aStride, aStep, bBlock, Width, whole ? c : edge, whole ? _cStride : Width, rows, depth, add);
                if (!whole) Elementwise.CopyRows<V>(edge, Width, c, _cStride, rows, width);
            }
        }
    }
}
