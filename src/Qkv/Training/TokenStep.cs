using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>Loss and gradients of a token classifier. Forward: logits = Wc·dropout(x) + bc for every token. Backward: the same line upward.</summary>
internal sealed unsafe class TokenStep(TrainableModel model, int tokens)
{
    private readonly Activations _activations = Activations.ToTrain(model.Config, tokens, model.Encoder.Threads);
    private readonly LayerGradients _gradients = new(model.Config, tokens, model.Encoder.Threads);

    /// <summary>Adds the gradients of a batch; returns its loss.</summary>
    /// <param name="batch">T tokens.</param>
    /// <param name="targets">A label number a token (T); a negative one leaves its token out.</param>
    /// <param name="smoothing">Label smoothing ε.</param>
    public double Run(TokenBatch batch, ReadOnlySpan<int> targets, float smoothing = 0f)
    {
        Linear classifier = model.Heads.Classifier!;
        int threads = model.Encoder.Threads, count = 0;
        foreach (int target in targets) count += target < 0 ? 0 : 1;
        if (count == 0) return 0;
        TokenSlice slice = batch.Slice(0, batch.Sequences);
        _activations.Drop(model.Dropout);
        float* hidden = model.Encoder.Forward(slice, _activations);
        Dropout dropout = model.Dropout.Classifier;
        dropout.Apply(hidden, batch.Tokens, model.Config.HiddenSize, threads);
        using var memory = new Rented((long)batch.Tokens * classifier.Outputs);
        float* logits = memory.Pointer;
        classifier.Forward(hidden, batch.Tokens, logits, threads);
        double loss;
        fixed (int* t = targets)
            loss = CrossEntropy.Forward(logits, batch.Tokens, classifier.Outputs, t, 1f / count, threads, smoothing).Loss / count;
        classifier.Backward(hidden, batch.Tokens, logits, _gradients.Output, add: false, threads); // logits = Wc·dropout(x) + bc
        dropout.Apply(_gradients.Output, batch.Tokens, model.Config.HiddenSize, threads);
        model.Encoder.Backward(slice, _activations, _gradients);
        GC.KeepAlive(batch);
        return loss;
    }
}
