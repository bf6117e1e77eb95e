using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>What a sequence classifier says of labelled texts: the computation of <c>qkv classify</c>, text after text.</summary>
/// <param name="Loss">Mean cross entropy.</param>
/// <param name="Confusion">Right against predicted labels.</param>
internal sealed record SequencePredictions(double Loss, Confusion Confusion)
{
    // Enough for full batches, few enough that memory does not grow with the file.
    private const int Together = 1024;

    public static unsafe SequencePredictions Of(Encoder encoder, TaskHeads heads, IReadOnlyList<Example> examples)
    {
        int c = encoder.Config.HiddenSize, labels = heads.Classifier!.Outputs;
        var confusion = new Confusion(labels);
        var batch = new TokenBatch();
        double loss = 0;
        foreach (Example[] some in examples.Chunk(Together))
        {
            batch.Clear();
            foreach (Example example in some) batch.Add(example.Ids);
            float[] first = new float[some.Length * c];
            fixed (float* output = first)
            {
                var receiver = new PoolingReceiver(Pooling.Cls, normalize: false, c, c, output, encoder.Threads);
                encoder.Forward(batch, ref receiver);
            }
            float[] logits = TaskHeads.Apply(heads.Classifier, heads.Pool(first));
            int[] targets = [.. some.Select(example => example.Targets[0])];
            for (int i = 0; i < some.Length; i++) confusion.Add(targets[i], TaskHeads.IndexOfLargest(logits.AsSpan(i * labels, labels)));
            fixed (float* x = logits)
            fixed (int* t = targets)
                loss += CrossEntropy.Forward(x, some.Length, labels, t, 1f, encoder.Threads).Loss;
        }
        return new SequencePredictions(loss / Math.Max(examples.Count, 1), confusion);
    }
}
