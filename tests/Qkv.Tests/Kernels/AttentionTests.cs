using CsCheck;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Tests.Reference;

namespace Qkv.Tests.Kernels;

/// <summary>Both attentions against the twin, over shapes and masks of every kind.</summary>
[Trait("Suite", "Numerical")]
public unsafe class AttentionTests
{
    private static readonly Gen<Call> s_calls = Gen.Select(
            Gen.OneOf(Gen.Int[1, 40], Gen.Int[1, 600]), Gen.OneOf(Gen.Int[1, 40], Gen.Int[1, 600]), Gen.Int[1, 3], Gen.Int[1, 70], Gen.Int[0, 31], Gen.Int[0, 2], Gen.Int)
        .Select((queries, keys, heads, headSize, mask, additive, seed) => new Call(queries, keys, heads, headSize, (Parts)mask, additive, seed));

    private static readonly bool[] s_precisions = MachineTiles.HasBFloat16 ? [false, true] : [false];

    [Flags]
    private enum Parts
    {
        VisibleKeys = 1,
        Causal = 2,
        Additive = 4,
        HeadFactors = 8,
        HugeScores = 16,
    }

    [Fact]
    public void Both_equal_the_twin() => s_calls.Repeatable().Sample(call => call.CheckAgainstTwin(), iter: Effort.Iterations(120), threads: 1);

    [Fact]
    public void In_bfloat16_equals_the_twin_of_rounded_numbers()
    {
        Assert.SkipUnless(MachineTiles.HasBFloat16, "There are no tiles for bfloat16 at this level.");
        s_calls.Repeatable().Sample(call => call.CheckAgainstTwin(bfloat16: true), iter: Effort.Iterations(120), threads: 1);
    }

    [Fact]
    public void At_the_edges_of_tiles_and_blocks()
    {
        foreach (bool bfloat16 in s_precisions)
        {
            foreach (int queries in (int[])[1, 12, 13, 48, 49, 768, 769])
                foreach (int keys in (int[])[1, 255, 256, 257, 513]) new Call(queries, keys, 1, 17, Parts.Causal, 0, queries + keys).CheckAgainstTwin(bfloat16);
            // As many heads as keep two threads busy with whole blocks of queries.
            foreach (int queries in (int[])[2064, 2065]) new Call(queries, 257, 8, 3, Parts.Causal, 0, queries).CheckAgainstTwin(bfloat16);
        }
    }

    [Fact]
    public void Every_head_size()
    {
        foreach (bool bfloat16 in s_precisions)
            for (int size = 1; size <= 70; size++) new Call(9, 33, 2, size, default, 0, size).CheckAgainstTwin(bfloat16);
    }

    [Fact]
    public void A_query_from_which_every_key_is_hidden_gets_zeros()
    {
        var call = new Call(40, 300, 2, 20, default, 0, 1);
        foreach (AttentionMask mask in (AttentionMask[])[new() { VisibleKeys = new bool[300] }, new() { Additive = Enumerable.Repeat(float.NegativeInfinity, 300).ToArray() }])
        {
            (_, float[] weights, float[] context, float[] flash) = call.Run(mask);
            Assert.All([.. weights, .. context, .. flash], number => Assert.Equal(0f, number));
        }
    }

    [Fact]
    public void Keys_that_are_seen_late_count_however_low_their_scores_are()
    {
        // A whole tile is hidden, and the scores after it are so low that they vanish beside any other maximum.
        var call = new Call(5, 300, 2, 20, default, 0, 1);
        var hidden = new AttentionMask { VisibleKeys = Enumerable.Range(0, 300).Select(key => key >= 260).ToArray() };
        float[] low = [.. Enumerable.Range(0, 300).Select(key => key < 260 ? float.NegativeInfinity : -500f)];
        foreach (bool bfloat16 in s_precisions)
        {
            (_, _, _, float[] expected) = call.Run(hidden, bfloat16);
            (_, _, _, float[] actual) = call.Run(new AttentionMask { Additive = low }, bfloat16);
            for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-3f);
            Assert.Contains(actual, number => Math.Abs(number) > 0.01f);
        }
    }

    [Fact]
    public void Keys_that_are_seen_early_weigh_nothing_beside_scores_that_are_far_above_theirs()
    {
        // Hidden as padding on the left is; and without a mask, each tile of keys far above the one before it.
        foreach (float low in (float[])[float.MinValue, -1e4f, -90f])
            Check(new(60, 600, 2, 20, default, 0, 1) { Mask = new() { Additive = Enumerable.Range(0, 600).Select(key => key < 300 ? low : 0f).ToArray() } });
        var rising = new Call(60, 600, 2, 20, default, 0, 1);
        for (int i = 0; i < rising.Queries.Length; i++) rising.Queries[i] = 1 + MathF.Abs(rising.Queries[i]);
        for (int i = 0; i < rising.Keys.Length; i++) rising.Keys[i] += 30 * (i / (256 * 40));
        Check(rising);

        static void Check(Call call)
        {
            foreach (bool bfloat16 in s_precisions) call.CheckAgainstTwin(bfloat16);
        }
    }

    [Fact]
    public void No_queries_and_no_keys()
    {
        foreach (bool bfloat16 in s_precisions)
        {
            new Call(0, 5, 2, 4, default, 0, 1).CheckAgainstTwin(bfloat16);
            new Call(5, 0, 2, 4, default, 0, 1).CheckAgainstTwin(bfloat16);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void What_is_no_number_ends_and_stays_where_it_belongs(float value) => Gen.Select(Gen.Int[1, 40], Gen.Int[1, 600], Gen.Int[1, 40], Gen.Int, Gen.Int[0, s_precisions.Length - 1]).Repeatable().Sample((queries, keys, size, seed, precision) =>
    {
        bool bfloat16 = s_precisions[precision];
        // All digits of this NaN are ones: rounded like a number, it would become one.
        if (float.IsNaN(value)) value = BitConverter.Int32BitsToSingle(0x7fffffff);
        var call = new Call(queries, keys, 2, size, default, 0, seed);
        (_, _, float[] before, float[] beforeFlash) = call.Run(null, bfloat16);
        int row = new Random(seed).Next(queries), features = 2 * size;
        call.Queries[row * features] = value; // the first head of one query
        (_, _, float[] context, float[] flash) = call.Run(null, bfloat16);
        for (int i = 0; i < context.Length; i++)
        {
            if (i / features == row && i % features < size)
            {
                if (float.IsNaN(value)) Assert.True(float.IsNaN(context[i]) && float.IsNaN(flash[i]));
                continue;
            }
            Assert.Equal(before[i], context[i]);
            Assert.Equal(beforeFlash[i], flash[i]);
        }

        // A key of one head that is NaN reaches every query of that head, and no other head.
        call.Queries[row * features] = 0;
        call.Keys[new Random(seed).Next(keys) * features + features - 1] = value;
        (_, _, context, flash) = call.Run(null, bfloat16);
        for (int i = 0; i < context.Length; i++)
            if (i % features >= size && float.IsNaN(value)) Assert.True(float.IsNaN(context[i]) && float.IsNaN(flash[i]));
            else if (i % features < size && i / features != row) Assert.Equal((before[i], beforeFlash[i]), (context[i], flash[i]));
    }, iter: Effort.Iterations(60), threads: 1);

    [Fact]
    public void The_same_bits_however_busy_the_threads_are() => s_calls.Repeatable().Sample(call =>
    {
        (_, _, float[] context, float[] flash) = call.Run(call.Mask);
        (_, _, float[] again, float[] flashAgain) = call.Run(call.Mask);
        Bits.Equal(context, again);
        Bits.Equal(flash, flashAgain);
    }, iter: Effort.Iterations(20), threads: 2);

    [Fact]
    public void Nothing_is_written_beyond_the_scratch()
    {
        foreach (bool bfloat16 in s_precisions)
        {
            foreach (int queries in (int[])[2064, 2065, 4500]) new Call(queries, 40, 1, 3, default, 0, queries).Flash(new float[queries * 3], null, bfloat16, 1);
            s_calls.Repeatable().Sample(call => call.Flash(new float[call.Queries.Length], call.Mask, bfloat16, 1), iter: Effort.Iterations(60), threads: 1);
        }
    }

    [Fact]
    public void Scores_weigh_by_what_is_between_them_however_far_from_zero_they_are()
    {
        const int keys = 600;
        var random = new Random(7);
        foreach (int exponent in (int[])[0, 12, 22, 24, 26, 34, 60, 120])
        {
            // Whole numbers times powers of 2: products are exact, and several keys share the largest.
            var call = new Call(60, keys, 1, 16, default, 0, 1);
            for (int i = 0; i < call.Queries.Length; i++) call.Queries[i] = MathF.ScaleB(random.Next(-1, 2), exponent / 2);
            for (int i = 0; i < call.Keys.Length; i++) call.Keys[i] = MathF.ScaleB(random.Next(-1, 2), exponent - exponent / 2);
            Check(call, AttentionTwin.Forward(call.Queries.ToDoubles(), call.Keys.ToDoubles(), call.Values.ToDoubles(), 1, 16, new()).Context);
        }
        foreach (float added in (float[])[-1e4f, -1e9f, -1e10f, -1e12f, -1e30f, float.MinValue, 1e12f])
            foreach (int later in (int[])[0, 300])
            {
                // Products vanish beside what is added: all keys weigh alike, or those of the later tiles alone.
                float[] additive = [.. Enumerable.Range(0, keys).Select(key => key < later ? added - 1.5f * MathF.Abs(added) : added)];
                var call = new Call(60, keys, 1, 16, default, 0, 1) { Mask = new() { Additive = additive } };
                Array.Clear(call.Queries);
                // Twice the lowest number there is, is no number: those keys are hidden.
                double[] mean = [.. Enumerable.Range(0, 16).Select(i => Enumerable.Range(later, keys - later).Average(key => (double)call.Values[key * 16 + i]))];
                Check(call, [.. Enumerable.Range(0, 60).SelectMany(_ => mean)]);
            }

        static void Check(Call call, double[] expected)
        {
            foreach (bool bfloat16 in s_precisions)
            {
                (_, _, float[] context, float[] flash) = call.Run(call.Mask, bfloat16);
                for (int i = 0; i < expected.Length; i++)
                {
                    Assert.Equal(expected[i], context[i], 1e-5);
                    Assert.Equal(expected[i], flash[i], bfloat16 ? 0.05 : 1e-5);
                }
            }
        }
    }

    private sealed record Call(int QueryLength, int KeyLength, int Heads, int HeadSize, Parts Parts, int AdditiveKind, int Seed)
    {
        // More than a group of rows could be too many.
        private const int Behind = 8192;

        private const float Untouched = -123f;

        private readonly Random _random = new(Seed);

        public float[] Queries => field ??= Numbers(QueryLength * Heads * HeadSize, Parts.HasFlag(Parts.HugeScores) ? 5 : 1);

        public float[] Keys => field ??= Numbers(KeyLength * Heads * HeadSize);

        public float[] Values => field ??= Numbers(KeyLength * Heads * HeadSize);

        public AttentionMask Mask
        {
            get => field ??= new()
            {
                VisibleKeys = Parts.HasFlag(Parts.VisibleKeys) ? Enumerable.Range(0, KeyLength).Select(_ => _random.Next(3) > 0).ToArray() : default,
                Causal = Parts.HasFlag(Parts.Causal),
                Additive = Parts.HasFlag(Parts.Additive) ? Numbers(KeyLength * (AdditiveKind > 0 ? QueryLength : 1) * (AdditiveKind > 1 ? Heads : 1), 3) : default,
                HeadFactors = Parts.HasFlag(Parts.HeadFactors) ? Enumerable.Range(0, Heads).Select(head => head * 0.75f).ToArray() : default,
            };
            init;
        }

        public (float[] Scores, float[] Weights, float[] Context, float[] Flash) Run(AttentionMask? mask, bool bfloat16 = false)
        {
            float[] scores = new float[Heads * QueryLength * KeyLength], weights = new float[scores.Length], context = new float[Queries.Length], flash = new float[Queries.Length];
            AttentionReference.Forward(Queries, Keys, Values, Heads, HeadSize, scores, weights, context, mask);
            if (bfloat16) Flash(flash, mask, bfloat16, Workers.Limit);
            else FlashAttention.Forward(Queries, Keys, Values, Heads, HeadSize, flash, mask);
            return (scores, weights, context, flash);
        }

        private readonly struct FlashBody(float* context, float* scratch, int threads, bool bfloat16) : IAttentionBody
        {
            private readonly float* _context = context, _scratch = scratch;

            public void Run(in AttentionShape shape) => FlashAttention.Forward(shape with { BFloat16 = bfloat16 }, _context, shape.Heads * shape.HeadSize, _scratch, threads);
        }

        /// <summary>Flash attention in scratch that is as large as it must be, and has numbers behind it that must stay.</summary>
        public void Flash(float[] context, AttentionMask? mask, bool bfloat16, int threads)
        {
            long size = threads * FlashAttention.ScratchSize(HeadSize, QueryLength);
            var scratch = new AlignedBuffer(size + Behind);
            scratch.Span[(int)size..].Fill(Untouched);
            fixed (float* destination = context)
                AttentionCall.Run(Queries, Keys, Values, Heads, HeadSize, mask, new FlashBody(destination, scratch.Pointer, threads, bfloat16));
            Assert.Equal(-1, scratch.Span[(int)size..].IndexOfAnyExcept(Untouched));
        }

        /// <param name="bfloat16">Whether numbers are rounded first, and flash attention computes in bfloat16, where weights are rounded as well: by 2⁻⁸ at most.</param>
        public void CheckAgainstTwin(bool bfloat16 = false)
        {
            foreach (float[] numbers in (float[][])(bfloat16 ? [Queries, Keys, Values] : []))
                for (int i = 0; i < numbers.Length; i++) numbers[i] = (float)HalfWidth.Round(numbers[i]);
            (float[] scores, float[] weights, float[] context, float[] flash) = Run(Mask, bfloat16);
            double[] q = Queries.ToDoubles(), k = Keys.ToDoubles(), v = Values.ToDoubles();
            var twin = AttentionTwin.Forward(q, k, v, Heads, HeadSize, Mask);
            double[] factors = Mask.HeadFactors.IsEmpty ? [.. Enumerable.Repeat(1.0, Heads)] : Mask.HeadFactors.ToArray().ToDoubles();
            // Σ|q·k|/√D + |additive|: what the errors of the scores are in proportion to.
            double[] products = AttentionTwin.Forward(Magnitude(q), Magnitude(k), v, Heads, HeadSize,
                new() { Additive = Mask.Additive.ToArray().Select(Math.Abs).ToArray() }).Scores;
            int features = Heads * HeadSize;
            for (int row = 0; row < Heads * QueryLength; row++)
            {
                int start = row * KeyLength, head = row / QueryLength, query = row % QueryLength;
                Span<double> exact = twin.Weights.AsSpan(start, KeyLength);
                (double[] score, double[] relative) = Rounding.Attention(twin.Scores.AsSpan(start, KeyLength), products.AsSpan(start, KeyLength), exact, HeadSize);
                for (int key = 0; key < KeyLength; key++)
                {
                    Exactness.Within($"{this}: scores", start + key, scores[start + key], twin.Scores[start + key], score[key]);
                    Exactness.Within($"{this}: weights", start + key, weights[start + key], exact[key], relative[key] * exact[key] * 1.01 + 1e-37);
                }
                for (int i = query * features + head * HeadSize; i < query * features + (head + 1) * HeadSize; i++)
                {
                    double bound = 1e-30, mean = 0;
                    for (int key = 0; key < KeyLength; key++)
                    {
                        double part = 1.01 * exact[key] * Math.Abs(v[key * features + i % features]);
                        (bound, mean) = (bound + part * (relative[key] + Rounding.Gamma(KeyLength + 8)), mean + part);
                    }
                    Exactness.Within($"{this}: context", i, context[i], twin.Context[i], bound);
                    Exactness.Within($"{this}: flash context", i, flash[i], twin.Context[i], bound + (bfloat16 ? Math.ScaleB(Math.Max(1, factors[head]) * mean, -8) : 0));
                }
            }
        }

        public override string ToString() => $"({QueryLength}, {KeyLength}), {Heads} heads of {HeadSize}, {Parts} {AdditiveKind}, seed {Seed}";

        private float[] Numbers(int count, double scale = 1) => RandomNumbers.Normal(_random, count, scale);

        private static double[] Magnitude(double[] numbers) => [.. numbers.Select(Math.Abs)];
    }
}
