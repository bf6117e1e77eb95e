using System.Runtime.CompilerServices;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>
/// What enters layer 0: for each token
/// <code>sum = word[id] + segment[type] + position[p];  embedding = LayerNorm(sum)</code>
/// Attention knows no order, so the position is told here and nowhere else.
/// </summary>
internal sealed unsafe class TokenEmbedding(EmbeddingTable words, EmbeddingTable positions, EmbeddingTable segments, Normalization normalization)
{
    public EmbeddingTable Words => words;

    public EmbeddingTable Positions => positions;

    public EmbeddingTable Segments => segments;

    public Normalization Normalization => normalization;

    /// <summary>(T) → sum (T, C), embeddings (T, C); an experiment may leave the position out.</summary>
    public void Forward(in TokenSlice tokens, float* sum, float* embeddings, int threads, bool withoutPositions = false)
    {
        int rowsPerPart = RowParts.RowsPerPart(tokens.Tokens, words.Columns, threads);
        Workers.Run(new Lookup(words.View(), positions.View(), segments.View(), tokens, sum, rowsPerPart, withoutPositions), (tokens.Tokens + rowsPerPart - 1) / rowsPerPart, threads);
        normalization.Forward(sum, tokens.Tokens, embeddings, threads);
        GC.KeepAlive(this);
    }

    /// <summary>The three tables, while they are trained.</summary>
    public (Parameter Words, Parameter Positions, Parameter Segments)? Learned { get; init; }

    /// <summary>Whether a training run changes the embeddings.</summary>
    public bool Learns => Learned is { Words.IsFrozen: false };

    /// <summary>
    /// Forward: embedding = LayerNorm(word[id] + segment[type] + position[p]). Backward: each row of a table gets the gradients of the
    /// tokens that looked it up, in the order of the tokens; <paramref name="padding"/>'s row gets none (as PyTorch's padding_idx).
    /// </summary>
    public void Backward(in TokenSlice tokens, float* sum, int padding, in LayerGradients g, int threads)
    {
        normalization.Backward(sum, tokens.Tokens, g.Output, g.Sum, g.Moments, threads);
        int columns = words.Columns, parts = RowParts.ColumnParts(columns);
        Workers.Run(new Scatter(tokens.Ids, tokens.Tokens, padding, g.Sum, columns, Learned!.Value.Words.Gradient.Pointer), parts, threads);
        Workers.Run(new Scatter(tokens.Positions, tokens.Tokens, -1, g.Sum, columns, Learned.Value.Positions.Gradient.Pointer), parts, threads);
        Workers.Run(new Scatter(tokens.TypeIds, tokens.Tokens, -1, g.Sum, columns, Learned.Value.Segments.Gradient.Pointer), parts, threads);
    }

    /// <summary>table[rows[t]] += dsum[t]: a part is some columns, so that no two threads add to one number.</summary>
    private readonly struct Scatter(int* rows, int tokens, int skipped, float* dsum, int columns, float* table) : IKernel
    {
        private readonly int* _rows = rows;
        private readonly float* _dsum = dsum, _table = table;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int first = part * RowParts.Columns, width = Math.Min(RowParts.Columns, columns - first);
            for (int token = 0; token < tokens; token++)
            {
                if (_rows[token] == skipped) continue;
                float* row = _table + (nint)_rows[token] * columns + first;
                Elementwise.Add<V>(row, _dsum + (nint)token * columns + first, row, width);
            }
        }
    }

    private readonly struct Lookup(EmbeddingView words, EmbeddingView positions, EmbeddingView segments, TokenSlice tokens, float* sum, int rowsPerPart, bool withoutPositions) : IKernel
    {
        private readonly float* _sum = sum;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            int columns = words.Columns, end = Math.Min((part + 1) * rowsPerPart, tokens.Tokens);
            float* summand = stackalloc float[columns];
            for (int token = part * rowsPerPart; token < end; token++)
            {
                float* row = _sum + (nint)token * columns;
                words.Read(tokens.Ids[token], 0, columns, row);
                segments.Read(tokens.TypeIds[token], 0, columns, summand);
                Elementwise.Add<V>(row, summand, row, columns);
                if (withoutPositions) continue;
                positions.Read(tokens.Positions[token], 0, columns, summand);
                Elementwise.Add<V>(row, summand, row, columns);
            }
        }
    }
}
