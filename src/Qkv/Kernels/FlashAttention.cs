using System.Runtime.CompilerServices;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The same attention as <see cref="AttentionReference"/> without its matrices (Dao et al. 2022; the online softmax of
/// Milakov and Gimelshein 2018). Keys pass by in tiles of 256; of each query only the running maximum m, the running sum l and
/// the context so far o are kept:
/// <code>
/// s  = q·Kᵀ / √D            scores of this tile
/// m' = max(m, max s)
/// p  = exp(s − m')
/// l  = l·exp(m − m') + Σ p
/// o  = o·exp(m − m') + p·V
/// context = o / l           after the last tile
/// </code>
/// Tiles start at the sequence's own first key, so a sequence gives the same bits in any batch. Memory does not grow with
/// the length: each thread holds one tile and the state of one block of queries.
/// </summary>
public static unsafe partial class FlashAttention
{
    // A tile of K and one of V, 256 · 64 float32 each, are 128 KB: they stay in the second cache while the queries pass by.
    private const int KeyTile = 256;

    // Packing a tile is paid once per block of queries; 384 of them make it cheap.
    private const int QueryBlock = 384;

    // The height of the tallest register tile.
    private const int Rows = 12;

    private const int Width = MatMulTile.PanelWidth;

    /// <summary>Attention over one sequence of queries and one of keys.</summary>
    /// <param name="queries">Q (Lq, H·D): head h is columns h·D … h·D + D.</param>
    /// <param name="keys">K (Lk, H·D)</param>
    /// <param name="values">V (Lk, H·D)</param>
    /// <param name="heads">H</param>
    /// <param name="headSize">D</param>
    /// <param name="context">(Lq, H·D)</param>
    /// <param name="mask">What hides keys; null for nothing.</param>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public static void Forward(ReadOnlySpan<float> queries, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int heads, int headSize,
        Span<float> context, AttentionMask? mask = null)
    {
        AttentionCall.Check(nameof(FlashAttention), queries, keys, values, heads, headSize, context, mask);
        var scratch = new AlignedBuffer(Workers.Limit * (long)ScratchSize(headSize));
        fixed (float* c = context)
        {
            float* destination = c;
            AttentionCall.Run(queries, keys, values, heads, headSize, mask,
                shape: (in AttentionShape shape) => Forward(shape, destination, heads * headSize, scratch.Pointer, Workers.Limit));
        }
        GC.KeepAlive(scratch);
    }

    /// <summary>Numbers of scratch that each thread needs.</summary>
    internal static int ScratchSize(int headSize)
    {
        int padded = (headSize + Width - 1) / Width * Width;
        // K tile, V tile, scores of a block of rows, o, m, l
        int float32 = KeyTile * headSize + KeyTile * padded + Rows * KeyTile + QueryBlock * padded + 2 * QueryBlock;
        return MachineTiles.HasBFloat16 ? Math.Max(float32, BFloat16ScratchSize(headSize)) : float32;
    }

    /// <param name="shape">Queries, keys, values and masks.</param>
    /// <param name="context">(Tq, H·D)</param>
    /// <param name="contextStride">Distance between its rows.</param>
    /// <param name="scratch"><see cref="ScratchSize"/> numbers a thread.</param>
    /// <param name="threads">Threads of the team that may work.</param>
    /// <param name="logSums">Where λ = m + ln l goes (Tq, H), for the backward pass; null for nowhere.</param>
    internal static void Forward(in AttentionShape shape, float* context, nint contextStride, float* scratch, int threads, float* logSums = null)
    {
        int longest = 0;
        for (int sequence = 0; sequence < shape.Sequences; sequence++) longest = Math.Max(longest, shape.QueryLength(sequence));
        int blocks = (longest + QueryBlock - 1) / QueryBlock;
        Workers.Run(new Blocks(shape, context, contextStride, scratch, blocks, logSums), shape.Sequences * shape.Heads * blocks, threads);
    }

    private readonly struct Blocks(AttentionShape shape, float* context, nint contextStride, float* scratch, int blocks, float* logSums) : IKernel
    {
        private readonly float* _context = context, _scratch = scratch, _logSums = logSums;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int sequence = part / blocks / shape.Heads, head = part / blocks % shape.Heads, first = part % blocks * QueryBlock;
            int queries = Math.Min(QueryBlock, shape.QueryLength(sequence) - first);
            if (queries <= 0) return;
            float* output = _context + (shape.QueryStarts[sequence] + first) * contextStride + head * shape.HeadSize;
            float* logSums = _logSums == null ? null : _logSums + (nint)(shape.QueryStarts[sequence] + first) * shape.Heads + head;
            float* scratch = _scratch + (nint)worker * ScratchSize(shape.HeadSize);
            if (shape.BFloat16) BlockBFloat16(shape, sequence, head, first, queries, output, contextStride, scratch);
            else Block<V>(shape, sequence, head, first, queries, output, contextStride, scratch, logSums);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Block<V>(in AttentionShape shape, int sequence, int head, int first, int queries,
        float* context, nint contextStride, float* scratch, float* logSums) where V : struct, ISimd<V>
    {
        int size = shape.HeadSize, padded = (size + Width - 1) / Width * Width, keys = shape.KeyLength(sequence);
        float* kTile = scratch; // (KeyTile / 32, D, 32)
        float* vTile = kTile + KeyTile * size; // (KeyTile, padded)
        float* p = vTile + KeyTile * padded; // (Rows, KeyTile)
        float* o = p + Rows * KeyTile; // (queries, padded)
        float* m = o + QueryBlock * padded; // (queries)
        float* l = m + QueryBlock; // (queries)
        float* q = shape.QueriesOf(sequence, head) + first * shape.QueryStride; // (queries, D)
        float* factors = stackalloc float[shape.Dropout.IsOn ? KeyTile : 0];
        // Where nothing is added, the softmax scales the products on its way.
        float scale = shape.Mask.Additive == null ? shape.ScaleOf(head) : 1f;
        new Span<float>(o, queries * padded).Clear();
        new Span<float>(m, queries).Fill(float.NegativeInfinity);
        new Span<float>(l, queries).Clear();

        for (int key = 0; key < keys; key += KeyTile)
        {
            int count = Math.Min(KeyTile, keys - key);
            PackKeys(shape.KeysOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, kTile);
            PackValues(shape.ValuesOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, vTile, padded);
            for (int row = 0; row < queries; row += Rows)
            {
                int rows = Math.Min(Rows, queries - row);
                for (int panel = 0; panel < count; panel += Width)
                    MatMulTile.Multiply<V>(q + row * shape.QueryStride, shape.QueryStride, 1, kTile + panel * size, Width, p + panel, KeyTile, rows, size, add: false);
                Scores<V>(shape, p, sequence, head, first + row, key, rows, count);
                OnlineSoftmax<V>(p, count, scale, rows, m + row, l + row, o + row * padded, padded);
                // After the sum l, as dropout comes after the softmax.
                for (int i = 0; i < rows && shape.Dropout.IsOn; i++) shape.Drop<V>(p + i * KeyTile, sequence, head, first + row + i, key, count, factors);
                for (int panel = 0; panel < padded; panel += Width)
                    MatMulTile.Multiply<V>(p, KeyTile, 1, vTile + panel, padded, o + row * padded + panel, padded, rows, count, add: true);
            }
        }

        Finish<V>(o, padded, l, queries, size, shape.Mask.HeadFactor(head), context, contextStride);
        // A row that sees no key has no weights: its λ of +∞ gives none back.
        for (int row = 0; logSums != null && row < queries; row++) logSums[row * shape.Heads] = l[row] == 0f ? float.PositiveInfinity : m[row] + MathF.Log(l[row]);
    }

    /// <summary>context = o / l, times what a head is multiplied by.</summary>
    private static void Finish<V>(float* o, int padded, float* l, int queries, int size, float factor, float* context, nint contextStride) where V : struct, ISimd<V>
    {
        for (int row = 0; row < queries; row++)
        {
            float* result = o + row * padded;
            Elementwise.Scale<V>(result, size, l[row] == 0f ? 0f : factor / l[row]);
            new ReadOnlySpan<float>(result, size).CopyTo(new Span<float>(context + row * contextStride, size));
        }
    }

    /// <summary>Products of some queries with a tile of keys become scores, but for their scale where nothing is added to them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scores<V>(in AttentionShape shape, float* p, int sequence, int head, int query, int key, int rows, int count) where V : struct, ISimd<V>
    {
        for (int i = 0; i < rows; i++)
            if (shape.Mask.Additive == null) shape.Hide(p + i * KeyTile, sequence, query + i, key, count);
            else shape.Score<V>(p + i * KeyTile, sequence, head, query + i, key, count);
    }

    /// <summary>
    /// p = exp(scale·s − m') for rows of scores, in place, or where <paramref name="rounded"/> says as bfloat16; m, l and o are brought up to the new
    /// maxima. All maxima come first, then all exponentials: no row waits for another's.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OnlineSoftmax<V>(float* s, int count, float scale, int rows, float* m, float* l, float* o, int size, ushort* rounded = null) where V : struct, ISimd<V>
    {
        float* maxima = stackalloc float[Rows];
        // The product that is largest is so scaled as well, as scales are positive.
        for (int row = 0; row < rows; row++) maxima[row] = MathF.Max(m[row], scale * Softmax.Max<V>(s + row * KeyTile, count));
        for (int row = 0; row < rows; row++)
        {
            if (maxima[row] == m[row] || l[row] == 0f) continue;
            float rescale = MathF.Exp(m[row] - maxima[row]);
            l[row] *= rescale;
            Elementwise.Scale<V>(o + row * size, size, rescale);
        }
        for (int row = 0; row < rows; row++)
        {
            float* p = s + row * KeyTile;
            l[row] += rounded == null ? Softmax.ExpSum<V>(p, count, maxima[row], p, scale) : ExpSum(p, count, maxima[row], rounded + row * KeyTile, scale);
            m[row] = maxima[row];
        }
    }

    /// <summary>K (count, D) → panels of 32 keys (D, 32); the last panel is filled up with zeros.</summary>
    private static void PackKeys(float* keys, nint stride, int count, int size, float* tile)
    {
        for (int first = 0; first < count; first += Width, tile += Width * size)
            PackedMatrix.Pack(keys + first * stride, stride, Math.Min(Width, count - first), size, tile);
    }

    /// <summary>V (count, D) → (count, padded), zeros beside D.</summary>
    private static void PackValues(float* values, nint stride, int count, int size, float* tile, int padded)
    {
        for (int row = 0; row < count; row++, values += stride, tile += padded)
        {
            new ReadOnlySpan<float>(values, size).CopyTo(new Span<float>(tile, padded));
            new Span<float>(tile + size, padded - size).Clear();
        }
    }
}
