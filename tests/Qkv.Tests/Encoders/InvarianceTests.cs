using CsCheck;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>A text's vector has the same bits alone, in any company, with any number of threads and under any load.</summary>
[Trait("Suite", "Numerical")]
public sealed class InvarianceTests : IDisposable
{
    private static readonly Gen<(int Length, int Seed, bool Holes)> s_sequences = Gen.Select(Gen.OneOf(Gen.Int[0, 40], Gen.Int[1, RandomModel.MaxPositions]), Gen.Int, Gen.Bool);

    private readonly RandomModel _files = new();
    private Model _one, _two;

    public InvarianceTests() => (_one, _two) = (_files.Load(1), _files.Load(2));

    [Theory]
    [InlineData(Precision.Float32)]
    [InlineData(Precision.BFloat16)]
    [InlineData(Precision.Int8)]
    public void A_sequence_has_the_same_bits_alone_and_in_any_batch(Precision precision)
    {
        (_one, _two) = (_files.Load(1, precision), _files.Load(2, precision));
        s_sequences.Array[1, 9].Repeatable().Sample(sequences =>
        {
            TokenBatch batch = Batch(sequences);
            float[] hidden = HiddenStates.Of(_two, batch), vectors = Pooled.Of(_two, batch);
            Bits.Equal(hidden, HiddenStates.Of(_one, batch));
            Bits.Equal(vectors, Pooled.Of(_one, batch));
            for (int i = 0; i < sequences.Length; i++) AssertSameAlone(batch, i, sequences[i], hidden, vectors);
        }, iter: Effort.Iterations(24), threads: 1);
    }

    [Fact]
    public void Where_slices_are_cut_changes_no_bit()
    {
        // Many slices, one that is left over, and sequences that all threads compute together, at the beginning, inside and at the end.
        var random = new Random(1);
        (int, int, bool)[] sequences = [.. Enumerable.Range(0, 41).Select(i => (i % 20 == 0 ? RandomModel.MaxPositions - i : random.Next(1, 200), i, i % 3 == 0))];
        TokenBatch batch = Batch(sequences);
        Assert.Equal(3, sequences.Where((_, i) => batch.Length(i) > Encoder.MostTokensAlone).Count());
        Assert.True(batch.Tokens > _two.Encoder.BatchTokens);
        float[] hidden = HiddenStates.Of(_two, batch), vectors = Pooled.Of(_two, batch);
        Bits.Equal(hidden, HiddenStates.Of(_one, batch));
        for (int i = 0; i < sequences.Length; i++) AssertSameAlone(batch, i, sequences[i], hidden, vectors);
    }

    [Fact]
    public void What_goes_wrong_in_a_slice_reaches_the_caller_and_harms_nobody()
    {
        TokenBatch batch = Batch([.. Enumerable.Range(0, 40).Select(i => (100, i, false))]);
        float[] expected = HiddenStates.Of(_one, batch);
        foreach (Model model in (Model[])[_one, _two])
        {
            // More often than there are buffers: each must come back.
            for (int i = 0; i <= 2 * Environment.ProcessorCount; i++)
            {
                var receiver = new Failing(sequence: 2 * i);
                var failure = Assert.Throws<InvalidOperationException>(() => model.Encoder.Forward(batch, ref receiver));
                Assert.Equal(nameof(Failing), failure.Message);
            }
            Bits.Equal(expected, HiddenStates.Of(model, batch));
        }
    }

    [Fact]
    public void Many_threads_on_one_model_get_the_bits_of_one()
    {
        TokenBatch[] batches = [.. Enumerable.Range(0, 6).Select(seed => Batch([(30 + 90 * seed, seed, false), (17, seed, true)]))];
        float[][] expected = [.. batches.Select(batch => HiddenStates.Of(_one, batch))];
        var threads = new Thread[6];
        var failures = new Exception?[threads.Length];
        for (int i = 0; i < threads.Length; i++)
        {
            int number = i;
            threads[i] = new Thread(() => failures[number] = Record.Exception(() =>
            {
                for (int round = 0; round < Effort.Iterations(48); round++)
                {
                    int chosen = (number + round) % batches.Length;
                    Bits.Equal(expected[chosen], HiddenStates.Of(_two, batches[chosen]));
                }
            }));
        }
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.All(failures, Assert.Null);
    }

    [Fact]
    public void A_recorded_pass_has_the_same_bits_in_any_batch()
    {
        TokenBatch alone = Batch([(33, 5, false)]), batch = Batch([(50, 1, true), (33, 5, false), (7, 2, false)]);
        var one = new AttentionTrace(_one, alone);
        var many = new AttentionTrace(_two, batch, 50);
        float[] expected = one["last_hidden_state"].ToFloats();
        Bits.Equal(expected, many["last_hidden_state"].ToFloats().AsSpan(50 * 60, expected.Length));
    }

    public void Dispose() => _files.Dispose();

    private readonly struct Failing(int sequence) : IReceiver
    {
        public unsafe void Receive(in TokenSlice tokens, float* hidden)
        {
            if (sequence >= tokens.FirstSequence && sequence < tokens.FirstSequence + tokens.Sequences) throw new InvalidOperationException(nameof(Failing));
        }
    }

    private void AssertSameAlone(TokenBatch batch, int i, (int, int, bool) sequence, float[] hidden, float[] vectors)
    {
        TokenBatch alone = Batch([sequence]);
        int features = _two.Config.HiddenSize;
        Bits.Equal(hidden.AsSpan(batch.Starts[i] * features, alone.Tokens * features), HiddenStates.Of(_one, alone));
        Bits.Equal(vectors.AsSpan(i * features, features), Pooled.Of(_two, alone));
    }

    private static TokenBatch Batch((int Length, int Seed, bool Holes)[] sequences)
    {
        var batch = new TokenBatch();
        foreach ((int length, int seed, bool holes) in sequences) RandomModel.Add(batch, length, seed, holes);
        return batch;
    }
}
