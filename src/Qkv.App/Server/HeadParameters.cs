using Qkv.Encoders;

namespace Qkv.App.Server;

/// <summary>
/// The parameters of one head: its rows (D, C) of the three maps, its columns (C, D) of the output projection, and what of its layer all
/// heads share: the projection's bias and both LayerNorms. The LayerNorm of the embeddings comes along.
/// </summary>
internal sealed class HeadParameters(TextEncoder encoder, int layer, int head)
{
    /// <summary>How many numbers are sent.</summary>
    public static long Count(TextEncoder encoder) => 4L * encoder.Config.HeadSize * encoder.Config.HiddenSize + 3 * encoder.Config.HeadSize + 7 * encoder.Config.HiddenSize;

    /// <exception cref="RequestException">There is no such head.</exception>
    public static HeadParameters Of(TextEncoder encoder, HeadName name) =>
        (uint)name.Layer < (uint)encoder.Config.Layers && (uint)name.Head < (uint)encoder.Config.Heads
            ? new HeadParameters(encoder, name.Layer, name.Head)
            : throw RequestException.Invalid($"There is no head {name.Head} of layer {name.Layer}; this model has layers 0 … {encoder.Config.Layers - 1} with heads 0 … {encoder.Config.Heads - 1}.");

    public async ValueTask WriteAsync(JsonPipe pipe)
    {
        Encoder model = encoder.Model.Encoder;
        EncoderLayer parameters = model.Layers[layer];
        int c = encoder.Config.HiddenSize, d = encoder.Config.HeadSize;
        pipe.Json.WriteStartObject();
        pipe.Json.WriteNumber("layer", layer);
        pipe.Json.WriteNumber("head", head);
        Linear joined = parameters.Attention.QueriesKeysValues;
        foreach ((int map, string name) in ((int, string)[])[(0, "query"), (1, "key"), (2, "value")])
        {
            var weight = new float[d * c];
            for (int row = 0; row < d; row++) joined.Matrix.Read(map, head * d + row, weight.AsSpan(row * c, c));
            await WriteAsync(pipe, name, weight, [d, c], joined.Matrix.Bias(map).Slice(head * d, d).ToArray());
        }
        var output = new float[c * d];
        var whole = new float[c];
        for (int row = 0; row < c; row++)
        {
            parameters.Projection.Matrix.Read(0, row, whole);
            whole.AsSpan(head * d, d).CopyTo(output.AsSpan(row * d));
        }
        await WriteAsync(pipe, "output", output, [c, d], parameters.Projection.Matrix.Bias(0).ToArray());
        await WriteAsync(pipe, "attention_norm", parameters.AttentionNorm);
        await WriteAsync(pipe, "output_norm", parameters.OutputNorm);
        await WriteAsync(pipe, "embeddings_norm", model.Embedding.Normalization);
        pipe.Json.WriteEndObject();
    }

    private static ValueTask WriteAsync(JsonPipe pipe, string name, Normalization norm) => WriteAsync(pipe, name, norm.Scale.ToArray(), [norm.Features], norm.Shift.ToArray());

    private static async ValueTask WriteAsync(JsonPipe pipe, string name, float[] weight, long[] shape, float[] bias)
    {
        pipe.Json.WriteStartObject(name);
        await pipe.WriteTensorAsync("weight", weight, shape);
        await pipe.WriteTensorAsync("bias", bias, [bias.Length]);
        pipe.Json.WriteEndObject();
    }
}
