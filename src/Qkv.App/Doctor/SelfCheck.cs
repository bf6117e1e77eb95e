using System.Globalization;
using System.Runtime.InteropServices;
using Qkv.Text;

namespace Qkv.App.Doctor;

/// <summary>Whether reference and flash attention agree on this machine, and whether two runs give the same bits.</summary>
/// <param name="LargestDifference">Between the last hidden states of both attentions.</param>
/// <param name="SameBits">Whether two runs of flash attention were identical.</param>
internal sealed record SelfCheck(float LargestDifference, bool SameBits)
{
    /// <summary>Rounding of float32 stays a hundred times below this; a kernel that is wrong does not.</summary>
    public const float Tolerance = 1e-4f;

    private const string Sentence = "我想吃酸菜鱼。 To be, or not to be, that is the question.";

    // NaN fails.
    private bool Agrees => LargestDifference <= Tolerance;

    public bool Passed => Agrees && SameBits;

    public string Problem => Agrees
        ? "two runs on the same sentence gave different bits; this build or this processor cannot be trusted."
        : $"reference and flash attention differ by {LargestDifference.ToString("0.0e+0", CultureInfo.InvariantCulture)}, "
            + $"more than {Tolerance.ToString("0e+0", CultureInfo.InvariantCulture)}; this build, this processor or this model's numbers cannot be trusted.";

    /// <param name="encoder">What runs twice.</param>
    /// <param name="exact">The same in float32, for the attentions: where activations are rounded to bytes, what differs in the last digit may round apart.</param>
    public static SelfCheck Of(TextEncoder encoder, TextEncoder exact)
    {
        var batch = new TokenBatch();
        if (Tokenizer.Exists(encoder.Directory)) encoder.Append(Sentence, batch);
        // Without a tokenizer any ids will do.
        else batch.Add([.. Enumerable.Range(0, Math.Min(16, encoder.MaxTokens)).Select(i => i * 37 % encoder.Config.VocabularySize)]);
        float[] reference = exact.Trace(batch)["last_hidden_state"].ToFloats(), flash = exact.HiddenStates(batch);
        float[] first = encoder.HiddenStates(batch), second = encoder.HiddenStates(batch);
        float largest = 0f;
        for (int i = 0; i < reference.Length; i++) largest = MathF.Max(largest, MathF.Abs(reference[i] - flash[i]));
        return new SelfCheck(largest, MemoryMarshal.AsBytes<float>(first).SequenceEqual(MemoryMarshal.AsBytes<float>(second)));
    }
}
