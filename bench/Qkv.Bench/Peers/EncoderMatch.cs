using Microsoft.ML.OnnxRuntime;
using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.Bench.Peers;

/// <summary>Both engines over the same sequences: Qkv takes them packed in one call, the peer in padded batches. Both leave hidden states in memory of the caller.</summary>
internal sealed unsafe class EncoderMatch : IDisposable
{
    private readonly Encoder _encoder;
    private readonly TokenBatch _batch = new(), _first = new();
    private readonly float[] _hidden; // (T, C)
    private readonly int _features;
    private readonly int[][] _order;
    private readonly OnnxPeer.Bound[] _peer;

    public EncoderMatch(PeerCase row, Encoder encoder, OnnxPeer peer)
    {
        _encoder = encoder;
        _features = encoder.Config.HiddenSize;
        int[] lengths = row.Lengths();
        int[][] sequences = [.. lengths.Select(PeerModel.Sequence)];
        _order = row.PeerBatches(lengths);
        foreach (int[] sequence in sequences) _batch.Add(sequence);
        foreach (int[] sequence in sequences.Take(_order[0].Length)) _first.Add(sequence);
        _hidden = GC.AllocateUninitializedArray<float>(_batch.Tokens * _features, pinned: true);
        _peer = [.. _order.Select(batch => Bind(peer, [.. batch.Select(sequence => sequences[sequence])]))];
    }

    public Contender Ours => new(() => Forward(_first), () => Forward(_batch));

    public Contender Theirs => new(_peer[0].Run, () =>
    {
        foreach (OnnxPeer.Bound batch in _peer) batch.Run();
    });

    /// <summary>The largest difference between the outputs of both, padding apart.</summary>
    public double Difference()
    {
        Ours.Call();
        Theirs.Call();
        double difference = 0;
        for (int batch = 0; batch < _order.Length; batch++)
        {
            ReadOnlySpan<float> padded = _peer[batch].Output; // (B, L, C)
            int stride = padded.Length / _order[batch].Length;
            for (int i = 0; i < _order[batch].Length; i++)
            {
                int sequence = _order[batch][i];
                ReadOnlySpan<float> ours = _hidden.AsSpan(_batch.Starts[sequence] * _features, _batch.Length(sequence) * _features);
                difference = Math.Max(difference, Differences.Largest(ours, padded.Slice(i * stride, ours.Length)));
            }
        }
        return difference;
    }

    public void Dispose()
    {
        foreach (OnnxPeer.Bound batch in _peer) batch.Dispose();
    }

    private void Forward(TokenBatch batch)
    {
        fixed (float* hidden = _hidden)
        {
            var copy = new Copy(hidden, _features);
            _encoder.Forward(batch, ref copy);
        }
    }

    private OnnxPeer.Bound Bind(OnnxPeer peer, int[][] sequences)
    {
        int longest = sequences.Max(sequence => sequence.Length);
        long[] shape = [sequences.Length, longest];
        long[] ids = new long[sequences.Length * longest], mask = new long[ids.Length], types = new long[ids.Length];
        for (int i = 0; i < sequences.Length; i++)
            for (int token = 0; token < sequences[i].Length; token++) (ids[i * longest + token], mask[i * longest + token]) = (sequences[i][token], 1);
        return peer.Bind([("input_ids", Value(ids)), ("attention_mask", Value(mask)), ("token_type_ids", Value(types))],
            "last_hidden_state", [.. shape, _features]);

        OrtValue Value(long[] numbers) => OrtValue.CreateTensorValueFromMemory(numbers, shape);
    }

    private readonly struct Copy(float* output, int features) : IReceiver
    {
        private readonly float* _output = output;

        public void Receive(in TokenSlice tokens, float* hidden) =>
            new ReadOnlySpan<float>(hidden, tokens.Tokens * features).CopyTo(new Span<float>(_output + tokens.Origin * features, tokens.Tokens * features));
    }
}
