using System.Numerics;
using CsCheck;
using Qkv.Kernels;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels;

/// <summary>Both attentions, forward and backward, against the tape: ragged sequences, masks of every kind, dropout.</summary>
[Trait("Suite", "Numerical")]
public unsafe class AttentionGradientTests
{
    [Flags]
    private enum Parts
    {
        HiddenKeys = 1,
        Causal = 2,
        Additive = 4,
        HeadFactors = 8,
        Dropout = 16,
    }

    [Fact]
    public void Of_any_shape_and_mask() => Gen.Select(Gen.Int[1, 40].Array[1, 4], Gen.Int[1, 3], Gen.Int[1, 70], Gen.Int[0, 31], Gen.Int)
        .Repeatable().Sample((lengths, heads, size, parts, seed) => new Call(lengths, lengths, heads, size, (Parts)parts, seed).Check(), iter: Effort.Iterations(60), threads: 1);

    [Fact]
    public void With_other_queries_than_keys() => Gen.Select(Gen.Int[1, 30], Gen.Int[0, 30], Gen.Int[1, 20], Gen.Int[0, 31], Gen.Int)
        .Repeatable().Sample((queries, keys, size, parts, seed) => new Call([queries, 1], [keys, 3], 2, size, (Parts)parts, seed).Check(), iter: Effort.Iterations(40), threads: 1);

    [Fact]
    public void At_the_edges_of_tiles_and_blocks()
    {
        foreach (int length in (int[])[1, 31, 32, 33, 95, 96, 97, 255, 256, 257])
            foreach (Parts parts in (Parts[])[0, Parts.Dropout | Parts.HiddenKeys]) new Call([length, 1], [length, 1], 1, 17, parts, length).Check();
        new Call([385], [257], 1, 8, Parts.Dropout | Parts.Causal, 1).Check();
        new Call([3], [513], 1, 8, Parts.Dropout, 1).Check();
    }

    [Fact]
    public void Dropout_gives_the_same_bits_alone_and_with_any_number_of_threads()
    {
        var call = new Call([300, 1, 40], [300, 1, 40], 2, 20, Parts.Dropout, 3);
        foreach (bool flash in (bool[])[false, true])
        {
            float[][] one = call.Run(flash, threads: 1), two = call.Run(flash, threads: 2);
            for (int i = 0; i < one.Length; i++) Bits.Equal(one[i], two[i]);
        }
    }

    private sealed record Call(int[] QueryLengths, int[] KeyLengths, int Heads, int HeadSize, Parts Parts, int Seed)
    {
        private static readonly string[] s_names = ["context", "dQ", "dK", "dV"];

        private readonly Random _random = new(Seed);

        private int Features => Heads * HeadSize;

        private int[] QueryStarts => Starts(QueryLengths);

        private int[] KeyStarts => Starts(KeyLengths);

        private int LongestKeys => KeyLengths.Max();

        private float[] Queries => field ??= Numbers(QueryLengths.Sum() * Features);

        private float[] Keys => field ??= Numbers(KeyLengths.Sum() * Features);

        private float[] Values => field ??= Numbers(KeyLengths.Sum() * Features);

        private float[] ContextGradient => field ??= Numbers(QueryLengths.Sum() * Features);

        private byte[] Hidden => field ??= [.. Enumerable.Range(0, KeyLengths.Sum()).Select(_ => Parts.HasFlag(Parts.HiddenKeys) && _random.Next(3) == 0 ? (byte)1 : (byte)0)];

        // (H, Lk), the same for every query and sequence
        private float[] Additive => field ??= Numbers(Heads * LongestKeys, Parts.HasFlag(Parts.Additive) ? 2 : 0);

        private float[] HeadFactors => field ??= [.. Enumerable.Range(0, Heads).Select(head => Parts.HasFlag(Parts.HeadFactors) ? head * 0.75f : 1f)];

        private Dropout Dropout => Parts.HasFlag(Parts.Dropout) ? new Dropout(0.3, (ulong)Seed) : default;

        public void Check()
        {
            double[][] truth = Twin<double>();
            double[] lost = Lost(truth);
            // The rounding of a few numbers is a matter of luck: that of a small call is measured on more numbers drawn like it.
            for (int drawn = QueryLengths.Sum() * Features, draw = 1; drawn < 4096 && draw < 32; drawn += QueryLengths.Sum() * Features, draw++)
            {
                var other = new Call(QueryLengths, KeyLengths, Heads, HeadSize, Parts, unchecked(Seed + draw));
                lost = [.. lost.Zip(other.Lost(other.Twin<double>()), Math.Max)];
            }
            foreach (bool flash in (bool[])[false, true])
            {
                float[][] ours = Run(flash, threads: 2);
                for (int i = 0; i < ours.Length; i++) Exactness.Within($"{this}: {s_names[i]}, {(flash ? "flash" : "reference")}", ours[i], truth[i], (2 * lost[i] + 1e-6) * Exactness.Largest(truth[i]));
            }
        }

        private double[] Lost(double[][] truth) => [.. Twin<float>().Zip(truth, (expected, right) => Exactness.Lost(expected, right))];

        /// <summary>Context, dQ, dK, dV.</summary>
        public float[][] Run(bool flash, int threads)
        {
            // Backward writes every number of its own.
            float[] context = Unwritten(Queries), dq = Unwritten(Queries), dk = Unwritten(Keys), dv = Unwritten(Keys), logSums = new float[QueryLengths.Sum() * Heads];
            long[] starts = new long[QueryLengths.Length + 1];
            for (int i = 0; i < QueryLengths.Length; i++) starts[i + 1] = starts[i] + (long)Heads * QueryLengths[i] * KeyLengths[i];
            float[] scores = new float[starts[^1]], weights = new float[starts[^1]];
            var scratch = new AlignedBuffer(Workers.Limit * Math.Max(FlashAttention.ScratchSize(HeadSize, QueryLengths.Max()), FlashAttention.BackwardScratchSize(HeadSize)));
            fixed (int* queryStarts = QueryStarts, keyStarts = KeyStarts)
            fixed (float* q = Queries, k = Keys, v = Values, additive = Additive, factors = HeadFactors, c = context, dc = ContextGradient, l = logSums, pdq = dq, pdk = dk, pdv = dv, s = scores, w = weights)
            fixed (byte* hidden = Hidden)
            fixed (long* scoreStarts = starts)
            {
                var shape = new AttentionShape
                {
                    Sequences = QueryLengths.Length,
                    Heads = Heads,
                    HeadSize = HeadSize,
                    QueryStarts = queryStarts,
                    KeyStarts = keyStarts,
                    Queries = q,
                    QueryStride = Features,
                    Keys = k,
                    Values = v,
                    KeyStride = Features,
                    Dropout = Dropout,
                    Mask = new AttentionMaskView
                    {
                        HiddenKeys = Parts.HasFlag(Parts.HiddenKeys) ? hidden : null,
                        Causal = Parts.HasFlag(Parts.Causal),
                        Additive = Parts.HasFlag(Parts.Additive) ? additive : null,
                        AdditiveHeadStride = LongestKeys,
                        HeadFactors = Parts.HasFlag(Parts.HeadFactors) ? factors : null,
                    },
                };
                var outputs = new AttentionReference.Outputs { Scores = s, Weights = w, Starts = scoreStarts, Context = c, ContextStride = Features };
                var gradients = new AttentionGradients { Context = c, ContextGradient = dc, ContextStride = Features, LogSums = l, Queries = pdq, Keys = pdk, Values = pdv, Stride = Features };
                if (flash)
                {
                    FlashAttention.Forward(shape, c, Features, scratch.Pointer, threads, l);
                    FlashAttention.Backward(shape, gradients, scratch.Pointer, threads);
                }
                else
                {
                    AttentionReference.Forward(shape, outputs, threads);
                    AttentionReference.Backward(shape, outputs, gradients, threads);
                }
            }
            GC.KeepAlive(scratch);
            return [context, dq, dk, dv];
        }

        public override string ToString() => $"({string.Join(' ', QueryLengths)}; {string.Join(' ', KeyLengths)}), {Heads} heads of {HeadSize}, {Parts}, seed {Seed}";

        private T[][] Twin<T>() where T : struct, IFloatingPointIeee754<T>
        {
            Node<T> q = Tape<T>.Of(Queries, Features), k = Tape<T>.Of(Keys, Features), v = Tape<T>.Of(Values, Features);
            var tape = new Tape<T>();
            int[] keyStarts = KeyStarts;
            Node<T> context = tape.Attention(q, k, v, Heads, QueryStarts, keyStarts,
                (sequence, head, query, key) => Hidden[keyStarts[sequence] + key] != 0 || (Parts.HasFlag(Parts.Causal) && key > query + KeyLengths[sequence] - QueryLengths[sequence])
                    ? double.NegativeInfinity
                    : Additive[head * LongestKeys + key],
                (sequence, head, query, key) => HeadFactors[head] * ModelTwin<T>.Factor(Dropout, sequence, head, Heads, query, key));
            tape.Backward(tape.Dot(context, Tape<T>.Of(ContextGradient, Features)));
            return [context.Values, q.Gradient, k.Gradient, v.Gradient];
        }

        private static int[] Starts(int[] lengths) => [.. lengths.Select((_, i) => lengths.Take(i).Sum()), lengths.Sum()];

        private static float[] Unwritten(float[] like) => [.. like.Select(_ => float.NaN)];

        private float[] Numbers(int count, double scale = 1) => RandomNumbers.Normal(_random, count, scale);
    }
}
