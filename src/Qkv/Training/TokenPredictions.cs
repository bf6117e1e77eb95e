using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>What a token classifier finds in texts with known entities: the computation of <c>qkv ner</c>, text after text.</summary>
/// <param name="Loss">Mean cross entropy of the tokens.</param>
/// <param name="Score">The entities found.</param>
internal sealed record TokenPredictions(double Loss, EntityScore Score)
{
    // Enough for full batches, few enough that memory does not grow with the file.
    private const int Together = 256;

    public static unsafe TokenPredictions Of(Encoder encoder, TaskHeads heads, IReadOnlyList<string> tags, IReadOnlyList<TaggedExample> examples)
    {
        Linear classifier = heads.Classifier!;
        int labels = classifier.Outputs;
        var batch = new TokenBatch();
        EntityScore score = default;
        double loss = 0;
        long counted = 0;
        foreach (TaggedExample[] some in examples.Chunk(Together))
        {
            batch.Clear();
            foreach (TaggedExample example in some) batch.Add(example.Ids);
            float[] logits = TaskHeads.ApplyToTokens(classifier, encoder, batch);
            for (int i = 0; i < some.Length; i++) score = score.Add(some[i].Entities, Found(some[i], logits.AsSpan(batch.Starts[i] * labels), tags));
            int[] targets = [.. some.SelectMany(example => example.Targets)];
            fixed (float* x = logits)
            fixed (int* t = targets) loss += CrossEntropy.Forward(x, batch.Tokens, labels, t, 1f, encoder.Threads).Loss;
            counted += targets.Count(target => target >= 0);
        }
        return new TokenPredictions(loss / Math.Max(counted, 1), score);
    }

    private static List<EntitySpan> Found(TaggedExample example, ReadOnlySpan<float> logits, IReadOnlyList<string> tags)
    {
        var pieces = new List<(string, int, int)>();
        for (int token = 0; token < example.Ids.Length; token++)
        {
            // [CLS] and [SEP] have no target and stand for no text.
            if (example.Targets[token] < 0) continue;
            int best = TaskHeads.IndexOfLargest(logits.Slice(token * tags.Count, tags.Count));
            pieces.Add((tags[best], example.Offsets[token].Start, example.Offsets[token].End));
        }
        return EntitySpan.Join(pieces);
    }
}
