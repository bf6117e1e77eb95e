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

    /// <summary>(T) → sum (T, C), embeddings (T, C)</summary>
    public void Forward(in TokenSlice tokens, float* sum, float* embeddings, int threads)
    {
        int rowsPerPart = RowParts.RowsPerPart(words.Columns);
        Workers.Run(new Lookup(words.View(), positions.View(), segments.View(), tokens, sum, rowsPerPart), (tokens.Tokens + rowsPerPart - 1) / rowsPerPart, threads);
        normalization.Forward(sum, tokens.Tokens, embeddings, threads);
        GC.KeepAlive(this);
    }

    private readonly struct Lookup(EmbeddingView words, EmbeddingView positions, EmbeddingView segments, TokenSlice tokens, float* sum, int rowsPerPart) : IKernel
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
                positions.Read(tokens.Positions[token], 0, columns, summand);
                Elementwise.Add<V>(row, summand, row, columns);
            }
        }
    }
}
