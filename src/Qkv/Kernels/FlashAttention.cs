using System.Runtime.CompilerServices;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The same attention as <see cref="AttentionReference"/> without its matrices (Dao et al. 2022; the online softmax of
/// Milakov and Gimelshein 2018). Keys pass by in tiles of 256; of each query only the running maximum m, the running sum l and
/// the context so far o are kept:
/// <code>
/// s  = q·Kᵀ · log₂e / √D    scores of this tile, as powers of 2
/// m' = max(m, max s)
/// p  = 2^(s − m')
/// l  = l·2^(m − m') + Σ p
/// o  = o·2^(m − m') + p·V
/// context = o / l           after the last tile
/// </code>
/// Tiles start at the sequence's own first key, so a sequence gives the same bits in any batch. Memory does not grow with
/// the length: each thread holds one tile and the state of one block of queries.
/// </summary>
public static unsafe partial class FlashAttention
{
    // A tile of K and one of V, 256 · 64 float32 each, are 128 KB: they stay in the second cache while the queries pass by.
    private const int KeyTile = 256;

    // Packing a tile is paid once per block of queries, whose state passes by once a tile: what does not stay in the second cache comes in order from the third. A multiple of Rows.
    private const int QueryBlock = 2064;

    // Queries whose scores are taken, made weights and used before the next: four of the tallest register tiles, for which a panel of keys or values stays in the first cache.
    private const int Rows = 48;

    // A line more than the tile, so that rows of scores do not fall into the same places of a cache.
    private const int ScoreStride = KeyTile + 16;

    // As in MatMul: a thread that falls behind holds the others up by a quarter of its work at most.
    private const int PartsPerThread = 4;

    // What the public call before this one computed in; null while a call has it.
    private static AlignedBuffer? s_scratch;

    private static int Width => MatMulTile.PanelWidth;

    private const float Log2E = 1.44269504f, Ln2 = 0.693147181f;

    // Times log₂e it is still a float32.
    private const float FarthestScore = 2e38f;

    // From here on the next float32 is more than 1 away, a factor of 2 in every weight.
    private const float FarthestShift = 1 << 24;

    /// <summary>Attention over one sequence of queries and one of keys.</summary>
    /// <param name="queries">Q (Lq, H·D): head h is columns h·D … h·D + D.</param>
    /// <param name="keys">K (Lk, H·D)</param>
    /// <param name="values">V (Lk, H·D)</param>
    /// <param name="heads">H</param>
    /// <param name="headSize">D</param>
    /// <param name="context">(Lq, H·D)</param>
    /// <param name="mask">What hides keys; null for nothing.</param>
    /// <remarks>
    /// What a call computes in is kept for the next one, which then allocates nothing: less than 2 MB a thread of the team where D is 64, however long the sequences are. Calls at
    /// the same time allocate their own, of which one is kept.
    /// </remarks>
    /// <exception cref="ArgumentException">The lengths do not fit together.</exception>
    public static void Forward(ReadOnlySpan<float> queries, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int heads, int headSize,
        Span<float> context, AttentionMask? mask = null)
    {
        (int rows, _) = AttentionCall.Check(nameof(FlashAttention), queries, keys, values, heads, headSize, context, mask);
        long size = Workers.Limit * ScratchSize(headSize, rows);
        AlignedBuffer scratch = Interlocked.Exchange(ref s_scratch, null) is { } kept && kept.Length >= size ? kept : new AlignedBuffer(size);
        fixed (float* c = context)
            AttentionCall.Run(queries, keys, values, heads, headSize, mask, new Whole(c, scratch.Pointer));
        Volatile.Write(ref s_scratch, scratch);
    }

    /// <summary>One sequence with all its heads, into rows that follow each other.</summary>
    private readonly struct Whole(float* context, float* scratch) : IAttentionBody
    {
        private readonly float* _context = context, _scratch = scratch;

        public void Run(in AttentionShape shape) => Forward(shape, _context, shape.Heads * shape.HeadSize, _scratch, Workers.Limit);
    }

    /// <summary>Numbers of scratch that each thread needs where no sequence has more queries.</summary>
    internal static long ScratchSize(int headSize, int queries)
    {
        long padded = ((long)headSize + Width - 1) / Width * Width, room = Room(Math.Min(queries, QueryBlock));
        // Q, K tile, V tile, scores of some rows, o, m, l
        long float32 = room * headSize + (long)KeyTile * headSize + KeyTile * padded + Rows * ScoreStride + room * padded + 2 * room;
        return MachineTiles.HasBFloat16 ? Math.Max(float32, BFloat16ScratchSize(headSize, room)) : float32;
    }

    /// <summary>Queries that a block is given room for: whole groups of rows.</summary>
    private static int Room(int queries) => (queries + Rows - 1) / Rows * Rows;

    /// <param name="shape">Queries, keys, values and masks.</param>
    /// <param name="context">(Tq, H·D)</param>
    /// <param name="contextStride">Distance between its rows.</param>
    /// <param name="scratch"><see cref="ScratchSize"/> numbers a thread, for as many queries as the longest sequence has.</param>
    /// <param name="threads">Threads of the team that may work.</param>
    /// <param name="logSums">Where λ = m + ln l goes (Tq, H), for the backward pass; null for nowhere.</param>
    internal static void Forward(in AttentionShape shape, float* context, nint contextStride, float* scratch, int threads, float* logSums = null)
    {
        int longest = 0;
        for (int sequence = 0; sequence < shape.Sequences; sequence++) longest = Math.Max(longest, shape.QueryLength(sequence));
        // Smaller blocks where threads would have nothing to do; no query's bits depend on them.
        if (longest == 0) return;
        int heads = shape.Sequences * shape.Heads, wanted = (PartsPerThread * Math.Min(threads, Workers.Limit) + heads - 1) / heads;
        int blocks = Math.Max((longest + QueryBlock - 1) / QueryBlock, Math.Min(wanted, (longest + Rows - 1) / Rows)), block = (longest + blocks - 1) / blocks;
        var kernel = new Blocks(shape, context, contextStride, scratch, ScratchSize(shape.HeadSize, block), blocks, block, logSums, heads * blocks, threads);
        if (shape.BFloat16) Workers.RunInTiles(kernel, heads * blocks, threads);
        else Workers.Run(kernel, heads * blocks, threads);
    }

    private readonly struct Blocks(AttentionShape shape, float* context, nint contextStride, float* scratch, long scratchSize, int blocks, int block, float* logSums, int parts, int threads) : IKernel
    {
        private readonly float* _context = context, _scratch = scratch, _logSums = logSums;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int sequence = part / blocks / shape.Heads, head = part / blocks % shape.Heads, first = part % blocks * block;
            int queries = Math.Min(block, shape.QueryLength(sequence) - first);
            if (queries <= 0) return;
            float* output = _context + (shape.QueryStarts[sequence] + first) * contextStride + head * shape.HeadSize;
            float* logSums = _logSums == null ? null : _logSums + (nint)(shape.QueryStarts[sequence] + first) * shape.Heads + head;
            float* scratch = _scratch + worker * scratchSize;
            // What this thread most likely computes next.
            int following = Math.Min(part + threads, parts - 1) / blocks;
            (int, int) next = (following / shape.Heads, following % shape.Heads);
            if (shape.BFloat16) BlockBFloat16(shape, sequence, head, next, first, queries, output, contextStride, scratch);
            else Block<V>(shape, sequence, head, next, first, queries, output, contextStride, scratch, logSums);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Block<V>(in AttentionShape shape, int sequence, int head, (int Sequence, int Head) next, int first, int queries,
        float* context, nint contextStride, float* scratch, float* logSums) where V : struct, ISimd<V>
    {
        int size = shape.HeadSize, padded = (size + Width - 1) / Width * Width, keys = shape.KeyLength(sequence), room = Room(queries);
        float* q = scratch; // (queries, D)
        float* kTile = q + room * size; // (KeyTile / W, D, W), W the columns of a panel
        float* vTile = kTile + KeyTile * size; // (padded / W, KeyTile, W)
        float* p = vTile + KeyTile * padded; // (Rows, KeyTile)
        float* o = p + Rows * ScoreStride; // (queries, padded)
        float* m = o + room * padded; // (queries)
        float* l = m + room; // (queries)
        float* factors = stackalloc float[shape.Dropout.IsOn ? KeyTile : 0];
        // Where nothing is added, the softmax scales the products on its way.
        float scale = Log2E * (shape.Mask.Additive == null ? shape.ScaleOf(head) : 1f);
        Elementwise.CopyRows<V>(shape.QueriesOf(sequence, head) + first * shape.QueryStride, shape.QueryStride, q, size, queries, size);
        BeginSums(m, l, queries);

        for (int key = 0; key < keys; key += KeyTile)
        {
            int count = Math.Min(KeyTile, keys - key);
            PackKeys(shape.KeysOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, kTile);
            for (int panel = 0; panel < size; panel += Width)
                PackRows<V>(shape.ValuesOf(sequence, head) + key * shape.KeyStride + panel, shape.KeyStride, count, Math.Min(Width, size - panel), vTile + KeyTile * panel, Width);
            for (int row = 0; row < queries; row += Rows)
            {
                int rows = Math.Min(Rows, queries - row);
                FetchAhead(shape, sequence, head, key, next, row, rows, queries);
                for (int panel = 0; panel < count; panel += Width)
                    MatMulTile.Multiply<V>(q + row * size, size, 1, kTile + panel * size, Width, p + panel, ScoreStride, rows, size, add: false);
                Scores<V>(shape, p, sequence, head, first + row, key, rows, count);
                OnlineSoftmax<V>(p, count, scale, rows, m + row, l + row, key > 0 ? o + row * padded : null, padded);
                // After the sum l, as dropout comes after the softmax.
                for (int i = 0; i < rows && shape.Dropout.IsOn; i++) shape.Drop<V>(p + i * ScoreStride, sequence, head, first + row + i, key, count, factors);
                for (int panel = 0; panel < padded; panel += Width)
                    MatMulTile.Multiply<V>(p, ScoreStride, 1, vTile + KeyTile * panel, Width, o + row * padded + panel, padded, rows, count, add: key > 0);
            }
        }

        Finish<V>(o, padded, l, queries, size, shape.Mask.HeadFactor(head), context, contextStride);
        // A row that sees no key, or whose scores lie so far from 0 that float32 hardly tells them apart, as where a mask hides all, has no weights to learn by: its λ of +∞ gives none back.
        for (int row = 0; logSums != null && row < queries; row++)
            logSums[row * shape.Heads] = l[row] == 0f || MathF.Abs(m[row] * scale) > FarthestShift ? float.PositiveInfinity : m[row] * scale * Ln2 + MathF.Log(l[row]);
    }

    /// <summary>No key has been seen: m = −∞, l = 0, up to whole blocks of rows.</summary>
    private static void BeginSums(float* m, float* l, int queries)
    {
        for (int i = 0; i < Room(queries); i++) (m[i], l[i]) = (float.NegativeInfinity, 0f);
    }

    /// <summary>context = o / l, times what a head is multiplied by; zero where a query sees no key.</summary>
    private static void Finish<V>(float* o, int padded, float* l, int queries, int size, float factor, float* context, nint contextStride) where V : struct, ISimd<V>
    {
        for (int row = 0; row < queries; row++, context += contextStride)
            if (l[row] == 0f) new Span<float>(context, size).Clear();
            else Elementwise.Scale<V>(o + row * padded, size, factor / l[row], context);
    }

    /// <summary>Products of some queries with a tile of keys become scores, but for their scale where nothing is added to them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scores<V>(in AttentionShape shape, float* p, int sequence, int head, int query, int key, int rows, int count) where V : struct, ISimd<V>
    {
        for (int i = 0; i < rows; i++)
            if (shape.Mask.Additive == null) shape.Hide(p + i * ScoreStride, sequence, query + i, key, count);
            else Score<V>(shape, p + i * ScoreStride, sequence, head, query + i, key, count);
    }

    /// <summary>
    /// Products of one query with some keys become scores that are finite as powers of 2 as well: masks often add the lowest number there is, and a query from which all
    /// keys are hidden like that sees all of them alike.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Score<V>(in AttentionShape shape, float* products, int sequence, int head, int query, int key, int count) where V : struct, ISimd<V>
    {
        shape.Score<V>(products, sequence, head, query, key, count);
        if (shape.Mask.Additive == null) return;
        for (int i = 0; i < count; i++)
            if (float.IsFinite(products[i])) products[i] = Math.Clamp(products[i], -FarthestScore, FarthestScore);
    }

    /// <summary>
    /// p = 2^(scale·s − scale·m') for rows of scores, in place, or where <paramref name="rounded"/> says as bfloat16; m, l and o, which is null before the first product, are brought up to the new
    /// maxima. All maxima come first, then all exponentials: no row waits for another's.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OnlineSoftmax<V>(float* s, int count, float scale, int rows, float* m, float* l, float* o, int size, ushort* rounded = null) where V : struct, ISimd<V>
    {
        float* maxima = stackalloc float[Rows];
        float* rescale = stackalloc float[Rows];
        float* shifts = stackalloc float[Rows];
        // The product that is largest is so scaled as well, as scales are positive.
        for (int row = 0; row < rows; row++) maxima[row] = MathF.Max(m[row], Softmax.Max<V>(s + row * ScoreStride, count));
        // m has room up to a multiple of Rows.
        for (int row = 0; row < rows; row += V.Width)
        {
            // A query that has seen no key yet: any maximum gives zeros.
            V max = V.Load(maxima + row) * V.Create(scale), shift = V.WhereLess(V.Create(float.NegativeInfinity), max, max, V.Create(0f));
            Functions.Exp2(V.Load(m + row) * V.Create(scale) - shift).Store(rescale + row);
            shift.Store(shifts + row);
        }
        for (int row = 0; row < rows; row++)
        {
            if (MathF.Abs(shifts[row]) > FarthestShift || (float.IsFinite(m[row]) && MathF.Abs(m[row] * scale) > FarthestShift))
                rescale[row] = ShiftFar(s + row * ScoreStride, count, scale, m[row], maxima[row], ref shifts[row]);
            m[row] = maxima[row];
        }
        // By zero as well: what is summed may weigh nothing beside a key that comes now.
        for (int row = 0; row < rows && o != null; row++)
            if (rescale[row] != 1f) Elementwise.Scale<V>(o + row * size, size, rescale[row]);
        for (int row = 0; row < rows; row++)
        {
            float* p = s + row * ScoreStride;
            // Other widths need not even compile what rounds.
            l[row] = l[row] * rescale[row] + (typeof(V) == typeof(Simd512) && rounded != null ? Exp2Sum(p, count, scale, shifts[row], rounded + row * WeightStride) : Exp2Sum<V>(p, count, scale, shifts[row], p));
        }
    }

    /// <summary>
    /// A row whose largest score is so far from 0 that float32 does not hold it scaled to within one: the scores themselves are shifted, before they are scaled, and
    /// <paramref name="shift"/>, which is left for the exponentials, becomes 0. Returns what l and o so far are multiplied by.
    /// </summary>
    private static float ShiftFar(float* s, int count, float scale, float before, float now, ref float shift)
    {
        double factor = Math.Pow(2, Shift(before) - Shift(now));
        if (MathF.Abs(shift) > FarthestShift)
        {
            for (int i = 0; i < count; i++) s[i] -= now;
            shift = 0f;
        }
        return (float)factor;

        // What exponentials were, or are, shifted by.
        double Shift(float max) => MathF.Abs(max * scale) > FarthestShift ? (double)max * scale : max * scale;
    }

    /// <summary>y[i] = 2^(factor·x[i] − max), zero from count on to the next whole vector; returns their sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Exp2Sum<V>(float* x, int count, float factor, float max, float* y) where V : struct, ISimd<V>
    {
        for (int i = count; i % V.Width > 0; i++) x[i] = float.NegativeInfinity;
        V shift = V.Create(-max), scale = V.Create(factor), sums = V.Create(0f);
        for (int i = 0; i < count; i += V.Width)
        {
            V p = Functions.Exp2(V.Fma(V.Load(x + i), scale, shift));
            p.Store(y + i);
            sums += p;
        }
        return V.Sum(sums);
    }

    /// <summary>K (count, D) → panels of W keys (D, W); the last panel is filled up with zeros.</summary>
    private static void PackKeys(float* keys, nint stride, int count, int size, float* tile)
    {
        for (int first = 0; first < count; first += Width, tile += Width * size)
            PackedMatrix.Pack(keys + first * stride, stride, Math.Min(Width, count - first), size, tile);
    }

    /// <summary>Rows (count, D) → (count, padded), zeros beside D.</summary>
    private static void PackRows<V>(float* rows, nint stride, int count, int size, float* tile, int padded) where V : struct, ISimd<V>
    {
        Elementwise.CopyRows<V>(rows, stride, tile, padded, count, size);
        for (int row = 0; row < count && size < padded; row++) new Span<float>(tile + row * padded + size, padded - size).Clear();
    }

    /// <summary>
    /// Fetches what comes after this tile of keys, the next one or the first of another head: of its rows the share that falls to some of the queries, so that all have come
    /// when the queries are through. Rows lie so far apart that no processor foresees the next.
    /// </summary>
    private static void FetchAhead(in AttentionShape shape, int sequence, int head, int key, (int Sequence, int Head) next, int query, int rows, int queries)
    {
        const int line = 64 / sizeof(float);
        bool another = key + KeyTile >= shape.KeyLength(sequence);
        if (another) (sequence, head, key) = (next.Sequence, next.Head, 0);
        else key += KeyTile;
        float* q = shape.QueriesOf(sequence, head), k = shape.KeysOf(sequence, head), v = shape.ValuesOf(sequence, head);
        int count = Math.Min(KeyTile, shape.KeyLength(sequence) - key);
        for (int row = key + query * count / queries, end = key + (query + rows) * count / queries; row < end; row++)
            for (int i = 0; i < shape.HeadSize; i += line)
            {
                Simd.Prefetch(k + row * shape.KeyStride + i);
                Simd.Prefetch(v + row * shape.KeyStride + i);
                // As many as keys: most often they are the same tokens.
                if (another) Simd.Prefetch(q + row * shape.QueryStride + i);
            }
    }
}
