using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>Loss and gradients of pairs of texts. Forward: vectors = pool(x); loss of the vectors. Backward: the same lines upward.</summary>
internal sealed unsafe class ContrastiveStep(TrainableModel model, int tokens, Pooling pooling, ContrastiveLoss loss)
{
    private readonly Activations _activations = Activations.ToTrain(model.Config, tokens, model.Encoder.Threads);
    private readonly LayerGradients _gradients = new(model.Config, tokens, model.Encoder.Threads);

    /// <summary>Adds the gradients of a batch; returns its loss.</summary>
    /// <param name="batch">B anchors, then their B positives.</param>
    /// <param name="texts">(2·B): equal numbers for equal texts.</param>
    public double Run(TokenBatch batch, ReadOnlySpan<ulong> texts)
    {
        int c = model.Config.HiddenSize, threads = model.Encoder.Threads;
        TokenSlice slice = batch.Slice(0, batch.Sequences);
        _activations.Drop(model.Dropout);
        float* hidden = model.Encoder.Forward(slice, _activations);
        float[] vectors = new float[batch.Sequences * c];
        double result;
        fixed (float* pooled = vectors)
        {
            new PoolingReceiver(pooling, normalize: false, c, c, pooled, threads).Receive(slice, hidden);
            result = loss.Forward(vectors, c, texts, threads);
            Workers.Run(new PoolingBackward(pooling, c, slice, hidden, pooled, _gradients.Output), batch.Sequences, threads); // vectors = pool(x)
        }
        model.Encoder.Backward(slice, _activations, _gradients);
        GC.KeepAlive(batch);
        return result;
    }
}
