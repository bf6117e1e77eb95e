using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>Loss and gradients of the masked language model for batches of packed sequences.</summary>
internal sealed unsafe class MaskedLanguageStep(TrainableModel model, int tokens)
{
    private readonly Activations _activations = Activations.ToTrain(model.Config, tokens, model.Encoder.Threads);
    private readonly LayerGradients _gradients = new(model.Config, tokens, model.Encoder.Threads);

    /// <summary>Adds the gradients of a batch, or only measures it.</summary>
    /// <param name="batch">Masked sequences of at most the tokens that were announced.</param>
    /// <param name="places">Places of the masked tokens in the batch.</param>
    /// <param name="targets">What stood there.</param>
    /// <param name="learn">Whether gradients are wanted.</param>
    /// <param name="weight">What the gradients are multiplied by.</param>
    public MaskedLanguageLoss Run(TokenBatch batch, List<int> places, List<int> targets, bool learn, float weight = 1f)
    {
        int c = model.Config.HiddenSize, count = places.Count;
        if (count == 0) return default;
        TokenSlice slice = batch.Slice(0, batch.Sequences);
        _activations.Drop(learn ? model.Dropout : default);
        float* hidden = model.Encoder.Forward(slice, _activations);
        using var memory = new Rented(2L * count * c);
        Span<float> rows = new(memory.Pointer, count * c), drows = new(memory.Pointer + count * c, learn ? count * c : 0);
        for (int i = 0; i < count; i++) new ReadOnlySpan<float>(hidden + (nint)places[i] * c, c).CopyTo(rows[(i * c)..]);
        MaskedLanguageLoss loss = model.Heads.MaskedLanguage!.Loss(rows, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(targets), weight / count, drows, model.Encoder.Threads);
        if (learn)
        {
            new Span<float>(_gradients.Output, batch.Tokens * c).Clear();
            for (int i = 0; i < count; i++) drows.Slice(i * c, c).CopyTo(new Span<float>(_gradients.Output + (nint)places[i] * c, c));
            model.Encoder.Backward(slice, _activations, _gradients);
        }
        GC.KeepAlive(batch);
        return loss;
    }
}
