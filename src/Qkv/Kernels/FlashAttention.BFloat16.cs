using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

public static unsafe partial class FlashAttention
{
    // A line more than the tile, as with the scores.
    private const int WeightStride = KeyTile + 32;

    /// <summary>Pairs of so many numbers in a row, as many as a tile wants.</summary>
    private static int PairsOf(int count) => MachineTiles.WholeSteps((count + 1) / 2);

    private static long BFloat16ScratchSize(int headSize, long room)
    {
        long padded = ((long)headSize + Width - 1) / Width * Width, pairs = PairsOf(headSize);
        // Q, K tile, 32 keys on their way there, V tile, weights of a block of rows, each two to a number; scores, o, m, l
        return room * pairs + KeyTile * pairs + Width * pairs + KeyTile / 2 * padded + Rows * WeightStride / 2 + Rows * ScoreStride + room * padded + 2 * room;
    }

    /// <summary>
    /// As <see cref="Block{V}"/> with both products in bfloat16: Q, K, V and the weights p are rounded once, to nearest even, and summed in float32. Scores,
    /// softmax, the sum of the weights and the context stay float32.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BlockBFloat16(in AttentionShape shape, int sequence, int head, (int Sequence, int Head) next, int first, int queries, float* context, nint contextStride, float* scratch)
    {
        int size = shape.HeadSize, padded = (size + Width - 1) / Width * Width, pairs = PairsOf(size), keys = shape.KeyLength(sequence), room = Room(queries);
        uint* q = (uint*)scratch; // (queries, D / 2): pairs of neighbours
        uint* kTile = q + room * pairs; // (KeyTile / 32, D / 2, 32)
        uint* keyRows = kTile + KeyTile * pairs; // (32, D / 2)
        uint* vTile = keyRows + Width * pairs; // (padded / 32, KeyTile / 2, 32)
        ushort* weights = (ushort*)(vTile + KeyTile / 2 * padded); // (Rows, KeyTile)
        float* p = (float*)(weights + Rows * WeightStride); // (Rows, KeyTile)
        float* o = p + Rows * ScoreStride; // (queries, padded)
        float* m = o + room * padded; // (queries)
        float* l = m + room; // (queries)
        float scale = Log2E * (shape.Mask.Additive == null ? shape.ScaleOf(head) : 1f);
        float* source = shape.QueriesOf(sequence, head) + first * shape.QueryStride;
        for (int row = 0; row < queries; row++) BFloat16.Round(source + row * shape.QueryStride, size, (ushort*)(q + row * pairs), 2 * pairs);
        BeginSums(m, l, queries);

        for (int key = 0; key < keys; key += KeyTile)
        {
            int count = Math.Min(KeyTile, keys - key);
            PackKeyPairs(shape.KeysOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, keyRows, kTile);
            PackValuePairs(shape.ValuesOf(sequence, head) + key * shape.KeyStride, shape.KeyStride, count, size, padded, vTile);
            for (int row = 0; row < queries; row += Rows)
            {
                int rows = Math.Min(Rows, queries - row);
                FetchAhead(shape, sequence, head, key, next, row, rows, queries);
                for (int panel = 0; panel < count; panel += Width)
                    Multiply((ushort*)(q + row * pairs), 2 * pairs, kTile + panel * pairs, p + panel, ScoreStride, rows, pairs, add: false);
                Scores<Simd512>(shape, p, sequence, head, first + row, key, rows, count);
                OnlineSoftmax<Simd512>(p, count, scale, rows, m + row, l + row, key > 0 ? o + row * padded : null, padded, weights);
                for (int panel = 0; panel < padded; panel += Width)
                    Multiply(weights, WeightStride, vTile + panel * (KeyTile / 2), o + row * padded + panel, padded, rows, PairsOf(count), add: key > 0);
            }
        }
        Finish<Simd512>(o, padded, l, queries, size, shape.Mask.HeadFactor(head), context, contextStride);
    }

    /// <summary>C (rows, 32) = [C +] A (rows, 2·steps) · B (steps, 32), pairs of bfloat16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Multiply(ushort* a, nint aStride, uint* b, float* c, nint cStride, int rows, int steps, bool add)
    {
        TileCall call = TileEnds.Of(c, cStride, add).Call(a, aStride * sizeof(ushort), b, Width * sizeof(uint), steps);
        MachineTiles.MultiplyBFloat16(ref call, rows);
    }

    /// <summary>y[i] = 2^(factor·x[i] − max) as bfloat16, zero from count on to the next multiple of 32; returns the sum of what was rounded, before it was.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Exp2Sum(float* x, int count, float factor, float max, ushort* y)
    {
        int end = (count + Width - 1) / Width * Width;
        new Span<float>(x + count, end - count).Fill(float.NegativeInfinity);
        Simd512 shift = Simd512.Create(-max), scale = Simd512.Create(factor), sums = Simd512.Create(0f);
        for (int i = 0; i < end; i += 32)
        {
            Simd512 lower = Functions.Exp2(Simd512.Fma(Simd512.Load(x + i), scale, shift));
            Simd512 upper = Functions.Exp2(Simd512.Fma(Simd512.Load(x + i + 16), scale, shift));
            // A NaN among the weights is one in their sum as well, and that divides all of the row.
            BFloat16.StoreFinite(lower.Vector, upper.Vector, y + i);
            sums = sums + lower + upper;
        }
        return Simd512.Sum(sums);
    }

    /// <summary>K (count, D) → panels of 32 keys (D / 2, 32) of pairs of features; the last panel is filled up with zeros.</summary>
    private static void PackKeyPairs(float* keys, nint stride, int count, int size, uint* rows, uint* tile)
    {
        int pairs = PairsOf(size);
        for (int first = 0; first < count; first += Width, tile += Width * pairs)
        {
            int panel = Math.Min(Width, count - first);
            for (int row = 0; row < panel; row++) BFloat16.Round(keys + (first + row) * stride, size, (ushort*)(rows + row * pairs), 2 * pairs);
            // A pair is 32 bits, as a float32 is; packing only moves them.
            PackedMatrix.Pack((float*)rows, pairs, panel, pairs, (float*)tile);
        }
    }

    /// <summary>V (count, D) → panels of 32 features (KeyTile / 2, 32) of pairs of keys, zeros beside D and after the last key.</summary>
    private static void PackValuePairs(float* values, nint stride, int count, int size, int padded, uint* tile)
    {
        Vector512<uint> zero = Vector512<uint>.Zero;
        for (int key = 0; key < count; key += 2)
        {
            float* even = values + key * stride, odd = even + stride;
            bool pair = key + 1 < count;
            for (int d = 0; d < padded; d += 16)
            {
                uint* destination = tile + KeyTile / 2 * (d / Width * Width) + key / 2 * Width + d % Width;
                if (d + 16 <= size)
                    (BFloat16.Round(Vector512.Load(even + d)) | (pair ? Vector512.ShiftLeft(BFloat16.Round(Vector512.Load(odd + d)), 16) : zero)).Store(destination);
                else
                    for (int i = 0; i < 16; i++)
                        destination[i] = d + i < size ? BFloat16.Round(even[d + i]) | (pair ? (uint)BFloat16.Round(odd[d + i]) << 16 : 0) : 0;
            }
        }
        int pairs = (count + 1) / 2;
        for (int panel = 0; panel < padded; panel += Width) new Span<uint>(tile + KeyTile / 2 * panel + pairs * Width, (PairsOf(count) - pairs) * Width).Clear();
    }
}
