using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.Tests.Encoders;

/// <summary>The vectors (B, C) of a batch.</summary>
internal static unsafe class Pooled
{
    public static float[] Of(Model model, TokenBatch batch, Pooling pooling = Pooling.Mean, bool normalize = true)
    {
        var vectors = new float[batch.Sequences * model.Config.HiddenSize];
        Into(vectors, model, batch, pooling, normalize);
        return vectors;
    }

    public static void Into(float[] vectors, Model model, TokenBatch batch, Pooling pooling = Pooling.Mean, bool normalize = true)
    {
        int features = model.Config.HiddenSize;
        fixed (float* output = vectors)
        {
            var receiver = new PoolingReceiver(pooling, normalize, features, features, output, model.Encoder.Threads);
            model.Encoder.Forward(batch, ref receiver);
        }
    }
}
