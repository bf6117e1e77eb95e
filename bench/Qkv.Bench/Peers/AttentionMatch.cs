using Microsoft.ML.OnnxRuntime;

namespace Qkv.Bench.Peers;

/// <summary>Flash attention against the peer's fused MultiHeadAttention, on the same queries, keys and values.</summary>
internal sealed class AttentionMatch : IDisposable
{
    private readonly AttentionInputs _inputs;
    private readonly OnnxPeer.Bound _peer;

    public AttentionMatch(int length, OnnxPeer peer, int threads, bool bfloat16)
    {
        _inputs = new AttentionInputs(length, threads, bfloat16);
        long[] shape = [1, length, AttentionInputs.Features];
        _peer = peer.Bind([("query", Value(0)), ("key", Value(1)), ("value", Value(2))], "output", shape);

        OrtValue Value(int part) => OrtValue.CreateTensorValueFromMemory(_inputs.Part(part), shape);
    }

    public Contender Ours => new(_inputs.Flash, _inputs.Flash);

    public Contender Theirs => new(_peer.Run, _peer.Run);

    public double Difference()
    {
        _inputs.Flash();
        _peer.Run();
        return Differences.Largest(_inputs.Context, _peer.Output);
    }

    public void Dispose() => _peer.Dispose();
}
