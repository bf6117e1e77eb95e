using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// Dropout (Srivastava et al. 2014; <c>torch.nn.Dropout</c>) of one place of a forward pass:
/// <code>y = x·f,  f = 0 with probability p, else 1 / (1 − p);   dx = dy·f</code>
/// Nothing is kept between forward and backward: f is a function of the key, the row and the column alone, in whole numbers, so it
/// comes back the same in any tile, on any thread and at any vector width. The default value drops nothing.
/// </summary>
internal readonly unsafe struct Dropout
{
    // As many factors as are drawn at once: with the numbers that they multiply they stay in the first cache.
    private const int Chunk = 256;

    private readonly ulong _key;
    private readonly uint _threshold;
    private readonly float _scale;

    /// <param name="rate">p, from 0 to below 1.</param>
    /// <param name="key">Names the draw: run, step and place.</param>
    public Dropout(double rate, ulong key)
    {
        if (!(rate >= 0 && rate < 1)) throw new ArgumentOutOfRangeException(nameof(rate), rate, "A dropout rate must be from 0 to below 1.");
        _key = key;
        _threshold = (uint)(rate * (1UL << 32));
        _scale = (float)(1 / (1 - rate));
    }

    public bool IsOn => _threshold != 0;

    /// <summary>The row of a head's query, as <see cref="Factors"/> wants it.</summary>
    public static ulong Row(int sequence, int head, int heads, int query) => ((ulong)((uint)sequence * (uint)heads + (uint)head) << 32) | (uint)query;

    /// <summary>The factors f of columns first … first + count of a row.</summary>
    public void Factors(ulong row, int first, int count, float* factors)
    {
        ulong start = SplitMix.Mix(_key + row * SplitMix.Step);
        uint low = (uint)start, high = (uint)(start >> 32);
        for (int i = 0; i < count; i++)
        {
            // The last steps of MurmurHash3 (Appleby 2008), with a second half of the row's key in between.
            uint h = low + (uint)(first + i) * 0x9E3779B9;
            h = (h ^ (h >> 16)) * 0x85EBCA6B;
            h = (h ^ (h >> 13) ^ high) * 0xC2B2AE35;
            factors[i] = (h ^ (h >> 16)) < _threshold ? 0f : _scale;
        }
    }

    /// <summary>x (T, C) *= f, and plus the residual (T, C) where there is one.</summary>
    public void Apply(float* x, int rows, int columns, int threads, float* residual = null)
    {
        if (!IsOn && residual == null) return;
        int rowsPerPart = RowParts.RowsPerPart(rows, columns, threads);
        Workers.Run(new Rows(this, x, rows, columns, residual, rowsPerPart), (rows + rowsPerPart - 1) / rowsPerPart, threads);
    }

    private readonly struct Rows(Dropout dropout, float* x, int rows, int columns, float* residual, int rowsPerPart) : IKernel
    {
        private readonly float* _x = x, _residual = residual;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            float* factors = stackalloc float[Chunk];
            int end = Math.Min((part + 1) * rowsPerPart, rows);
            for (int row = part * rowsPerPart; row < end; row++)
                for (int first = 0; first < columns; first += Chunk)
                {
                    int count = Math.Min(Chunk, columns - first);
                    float* x = _x + (nint)row * columns + first;
                    dropout.Factors((ulong)row, first, count, factors);
                    Elementwise.Multiply<V>(x, factors, x, count);
                    if (_residual != null) Elementwise.Add<V>(x, _residual + (nint)row * columns + first, x, count);
                }
        }
    }
}
