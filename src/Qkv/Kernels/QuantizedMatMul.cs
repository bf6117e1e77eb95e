using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// <see cref="MatMul"/> where W is int8. X is quantised first, each row by itself (<see cref="QuantizedRows"/>); the products are summed in int32,
/// exactly, so that no bit depends on batch, threads or SIMD level; what follows is float32:
/// <code>Y = activation(scaleₓ·scale_w·(Σ q_x·q_w − zeroₓ·Σ q_w) + b) [+ R]</code>
/// </summary>
internal readonly unsafe struct QuantizedMatMul : IKernel
{
    // Groups of a panel that stay in the first cache while the rows pass by: with 32 columns two thirds of 48 KB, with 16 half of 32 KB.
    private const int StepBlock = 256;

    // Bytes of X that stay in the second cache while the panels pass by: half of 512 KB.
    private const int RowBytes = 256 * 1024;

    // The sums of 192 rows and four panels are 96 KB of stack.
    private const int MostRows = 192, LeastRows = 48;

    private static int Width => MatMulTile.PanelWidth;

    private readonly byte* _x; // (T, K in whole groups)
    private readonly nint _xStride;
    private readonly int _steps; // K in whole groups
    private readonly float* _xScales; // (T)
    private readonly int* _xZeros; // (T)
    private readonly int _rows;
    private readonly PackedView _w;
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

    private QuantizedMatMul(byte* x, float* xScales, int* xZeros, int rows, PackedView w, int panels, float* y, nint yStride,
        Activation activation, float* residual, nint residualStride, int threads)
    {
        _x = x;
        _xScales = xScales;
        _xZeros = xZeros;
        _rows = rows;
        _w = w;
        _panelCount = panels;
        _y = y;
        _yStride = yStride;
        _activation = activation;
        _residual = residual;
        _residualStride = residualStride;
        _steps = QuantizedPanels.Steps(w.Inner);
        _xStride = AlignedBuffer.RowBytes(QuantizedPanels.Padded(w.Inner));
        int most = Math.Clamp(RowBytes / (int)_xStride, LeastRows, MostRows);
        _rowBlocks = (rows + most - 1) / most;
        _rowBlock = (rows + _rowBlocks - 1) / _rowBlocks;
        _threads = Math.Min(threads, Workers.Limit);
        _panelsPerPart = MatMul.PanelsPerPart(_panelCount, _rowBlocks, _threads, MatMul.MaxPanelsPerPart);
    }

    /// <summary>As <see cref="MatMul.Forward"/>.</summary>
    public static void Forward(float* x, nint xStride, int rows, PackedMatrix w, float* y, nint yStride, int threads,
        Activation activation, float* residual, nint residualStride, int firstMap, int maps)
    {
        int stride = AlignedBuffer.RowBytes(QuantizedPanels.Padded(w.Inner));
        using var memory = new Rented((long)rows * (stride / sizeof(float) + 2));
        float* scales = memory.Pointer;
        int* zeros = (int*)scales + rows;
        byte* q = (byte*)(zeros + rows);
        new QuantizedRows(x, xStride, rows, w.Inner, q, stride, scales, zeros, threads).Run();
        var kernel = new QuantizedMatMul(q, scales, zeros, rows, w.View(firstMap), maps * w.PanelsPerMap, y, yStride, activation, residual, residualStride, threads);
        Workers.RunInTiles(kernel, kernel._rowBlocks * ((kernel._panelCount + kernel._panelsPerPart - 1) / kernel._panelsPerPart), threads);
        GC.KeepAlive(w);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<V>(int part, int worker) where V : struct, ISimd<V>
    {
        int firstRow = part % _rowBlocks * _rowBlock, rows = Math.Min(_rowBlock, _rows - firstRow);
        int firstPanel = part / _rowBlocks * _panelsPerPart, endPanel = Math.Min(firstPanel + _panelsPerPart, _panelCount);
        int* sums = stackalloc int[MatMul.MaxColumnsPerPart * MostRows];
        for (int panel = firstPanel; panel < endPanel; panel++)
        {
            sbyte* b = Panel(panel);
            // What comes next; after the last panel, most likely those that the other threads have left.
            sbyte* next = Panel(panel + 1 < endPanel ? panel + 1 : firstPanel + _panelsPerPart * _threads);
            for (int step = 0; step < _steps; step += StepBlock)
            {
                nint offset = (nint)step * QuantizedTile.GroupBytes;
                QuantizedTile.Multiply(_x + firstRow * _xStride + (nint)step * QuantizedTile.Group, _xStride, b + offset, Own(panel), Width, rows,
                    Math.Min(StepBlock, _steps - step), step > 0, next + offset);
            }
        }
        for (int row = 0; row < rows; row += MatMul.RowsToFinish)
            for (int panel = firstPanel; panel < endPanel; panel++)
                Finish<V>(Own(panel) + row * Width, firstRow + row, Math.Min(MatMul.RowsToFinish, rows - row), panel);

        int* Own(int panel) => sums + (nint)(panel - firstPanel) * rows * Width;
    }

    private sbyte* Panel(int panel) => _w.Quantized.Panels + (nint)panel * _steps * QuantizedTile.GroupBytes;

    /// <summary>Sums of a panel, (rows, W), become numbers: rows of Y, or in place where more comes after.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Finish<V>(int* sums, int firstRow, int rows, int panel) where V : struct, ISimd<V>
    {
        (nint first, int width) = _w.ColumnsOf(panel);
        // Read once: the compiler would ask for it in every turn.
        int panelWidth = Width;
        float* bias = _w.Bias(panel), scales = _w.Quantized.Scales + (nint)panel * panelWidth, rowScales = _xScales + firstRow;
        int* columnSums = _w.Quantized.Sums + (nint)panel * panelWidth, rowZeros = _xZeros + firstRow;
        float* y = _y + firstRow * _yStride + first, residual = _residual == null ? null : _residual + firstRow * _residualStride + first;
        bool direct = _activation == Activation.Linear && width == panelWidth;
        float* numbers = direct ? y : (float*)sums;
        nint stride = direct ? _yStride : panelWidth;
        for (int i = 0; i < panelWidth; i += V.Width)
        {
            V scale = V.Load(scales + i), start = V.Load(bias + i);
            int* sum = sums + i;
            float* number = numbers + i, added = direct && residual != null ? residual + i : null;
            for (int row = 0; row < rows; row++, sum += panelWidth, number += stride)
            {
                // As many rows ahead as are finished at once, in this panel and the ones beside it.
                if (direct) Simd.Prefetch(number + MatMul.RowsToFinish * stride);
                V result = V.Fma(V.Difference(sum, columnSums + i, rowZeros[row]), V.Create(rowScales[row]) * scale, start);
                if (added != null)
                {
                    result += V.Load(added);
                    added += _residualStride;
                }
                result.Store(number);
            }
        }
        if (!direct) MatMul.Finish<V>(_activation, numbers, y, _yStride, residual, _residualStride, rows, width);
    }
}
