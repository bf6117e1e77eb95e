using Qkv.Kernels;
using Qkv.Kernels.MachineCode;

namespace Qkv.Bench;

/// <summary>Twelve heads of 64 features over one sequence, with everything that attention needs allocated ahead.</summary>
internal sealed unsafe class AttentionInputs
{
    public const int Heads = 12, HeadSize = 64, Features = Heads * HeadSize;

    private readonly int _threads;
    private readonly bool _bfloat16;
    private readonly AlignedBuffer _joined; // (L, 3·H·D): queries, keys, values side by side, as a layer's product leaves them
    private readonly AlignedBuffer _context, _scratch;
    private readonly int[] _starts = GC.AllocateArray<int>(2, pinned: true);

    public AttentionInputs(int length, int threads, bool bfloat16 = false)
    {
        _bfloat16 = bfloat16 && MachineTiles.HasBFloat16;
        _threads = threads;
        _starts[1] = length;
        // Scores of such queries and keys have a standard deviation of 1.3: some weights are large, most are small.
        _joined = RandomEncoder.Rows(length, 3 * Features, 2f);
        _context = new AlignedBuffer((long)length * Features);
        _scratch = new AlignedBuffer(threads * FlashAttention.ScratchSize(HeadSize, length));
    }

    /// <summary>What <see cref="Flash"/> computed (L, H·D).</summary>
    public ReadOnlySpan<float> Context => _context.Span;

    /// <summary>Queries (0), keys (1) or values (2) by themselves (L, H·D).</summary>
    public float[] Part(int part)
    {
        var rows = new float[_context.Length];
        for (int row = 0; row < _starts[1]; row++)
            _joined.Span.Slice((3 * row + part) * Features, Features).CopyTo(rows.AsSpan(row * Features));
        return rows;
    }

    public void Flash()
    {
        fixed (int* starts = _starts)
        {
            var shape = new AttentionShape
            {
                Sequences = 1,
                Heads = Heads,
                HeadSize = HeadSize,
                QueryStarts = starts,
                KeyStarts = starts,
                Queries = _joined.Pointer,
                QueryStride = 3 * Features,
                Keys = _joined.Pointer + Features,
                Values = _joined.Pointer + 2 * Features,
                KeyStride = 3 * Features,
                BFloat16 = _bfloat16,
            };
            FlashAttention.Forward(shape, _context.Pointer, Features, _scratch.Pointer, _threads);
        }
    }
}
