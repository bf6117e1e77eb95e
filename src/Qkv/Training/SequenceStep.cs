using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>
/// Loss and gradients of a sequence classifier. Forward: pre = Wp·[CLS] + bp; pooled = dropout(tanh(pre)); logits = Wc·pooled + bc. Backward: the
/// same lines upward.
/// </summary>
internal sealed unsafe class SequenceStep(TrainableModel model, int tokens)
{
    private readonly Activations _activations = Activations.ToTrain(model.Config, tokens, model.Encoder.Threads);
    private readonly LayerGradients _gradients = new(model.Config, tokens, model.Encoder.Threads);

    /// <summary>Adds the gradients of a batch; returns its loss.</summary>
    public double Run(TokenBatch batch, SequenceLossKind kind, ReadOnlySpan<float> targets, float smoothing = 0f)
    {
        int c = model.Config.HiddenSize, count = batch.Sequences, threads = model.Encoder.Threads;
        Linear pooler = model.Heads.Pooler!, classifier = model.Heads.Classifier!;
        TokenSlice slice = batch.Slice(0, count);
        _activations.Drop(model.Dropout);
        float* hidden = model.Encoder.Forward(slice, _activations);
        float[] first = new float[count * c], pre = new float[count * c], pooled = new float[count * c], dpooled = new float[count * c], dfirst = new float[count * c];
        for (int sequence = 0; sequence < count; sequence++)
            new ReadOnlySpan<float>(hidden + (nint)slice.Start(sequence) * c, c).CopyTo(first.AsSpan(sequence * c));
        pooler.Forward(first, pre);
        ActivationFunctions.Apply(Activation.Tanh, pre, pooled);
        Drop(pooled);
        float[] logits = TaskHeads.Apply(classifier, pooled, threads);

        double loss = SequenceLoss.Forward(kind, logits, targets, smoothing, threads);

        fixed (float* x = first, y = pooled, dy = dpooled, dx = dfirst, dlogits = logits)
        {
            classifier.Backward(y, count, dlogits, dy, add: false, threads); // logits = Wc·pooled + bc
            Drop(dpooled);
            ActivationFunctions.Backward(Activation.Tanh, pre, dpooled, dpooled); // pooled = dropout(tanh(pre))
            pooler.Backward(x, count, dy, dx, add: false, threads); // pre = Wp·[CLS] + bp
        }
        new Span<float>(_gradients.Output, batch.Tokens * c).Clear();
        for (int sequence = 0; sequence < count; sequence++)
            dfirst.AsSpan(sequence * c, c).CopyTo(new Span<float>(_gradients.Output + (nint)slice.Start(sequence) * c, c));
        model.Encoder.Backward(slice, _activations, _gradients);
        GC.KeepAlive(batch);
        return loss;
    }

    private void Drop(float[] pooled) // (B, C)
    {
        fixed (float* x = pooled) model.Dropout.Classifier.Apply(x, pooled.Length / model.Config.HiddenSize, model.Config.HiddenSize, model.Encoder.Threads);
    }
}
