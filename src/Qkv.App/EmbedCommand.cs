using System.CommandLine;
using Qkv.App.Embeddings;
using Qkv.App.Output;
using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.App;

/// <summary><c>qkv embed</c>: texts as vectors, in batches, so that memory does not grow with their number.</summary>
internal static class EmbedCommand
{
    public static Command Create(CommonOptions common)
    {
        var texts = new TextSource("embed", "Texts.");
        Option<string?> output = Options.Text(
            "--output", "FILE", "The file to write, by its name .jsonl, .npy (float32, n × C) or .parquet (default: JSON lines to standard output).");
        Option<bool> normalize = Options.Flag("--normalize", "Bring vectors to unit length (default: as the directory says).");
        Option<string?> pooling = Options.Choice("--pooling", ["mean", "cls", "max"], "How hidden states become one vector (default: as the directory says, else mean).");
        Option<int?> dimensions = Options.Number("--dimensions", 1, "Keep only the first numbers of a vector.");
        var command = new Command("embed", "Turns texts into vectors: a line of JSON {text, embedding, tokens, truncated} each.")
        {
            texts.Texts, texts.File, output, normalize, pooling, dimensions,
        };
        common.Run(command, (invocation, result) =>
        {
            var options = new EmbedOptions
            {
                Normalize = result.GetValue(normalize) ? true : null,
                Pooling = result.GetValue(pooling) switch { "mean" => Pooling.Mean, "cls" => Pooling.Cls, "max" => Pooling.Max, _ => null },
                Dimensions = result.GetValue(dimensions),
            };
            return texts.Read(invocation, result, all =>
            {
                EmbeddingWriter.Check(result.GetValue(output), result.GetValue(texts.File));
                return Run(invocation, all, result.GetValue(output), options);
            });
        });
        return command;
    }

    private static int Run(Invocation invocation, IEnumerable<string> texts, string? output, EmbedOptions options)
    {
        TextEncoder encoder = invocation.LoadEncoder();
        if (options.Dimensions > encoder.Dimensions)
            throw new UsageException($"--dimensions must be from 1 to {encoder.Dimensions}, which this model has, but is {options.Dimensions}.");
        int truncated = 0;
        if (output is null)
        {
            using var lines = new JsonEmbeddings(invocation.Terminal.Results);
            truncated = Embed(encoder, texts, lines, options);
        }
        else
        {
            OutputFile.WriteStream(output, stream =>
            {
                using EmbeddingWriter writer = EmbeddingWriter.Create(output, stream, options.Dimensions ?? encoder.Dimensions);
                truncated = Embed(encoder, texts, writer, options);
                writer.Complete();
            });
        }
        invocation.NoteCut(encoder, truncated);
        return 0;
    }

    /// <summary>Returns how many texts were truncated.</summary>
    private static int Embed(TextEncoder encoder, IEnumerable<string> texts, EmbeddingWriter writer, EmbedOptions options)
    {
        var batch = new TokenBatch();
        var pending = new List<(string Text, bool Truncated)>();
        float[] vectors = [];
        int truncated = 0;
        foreach (string text in texts)
        {
            bool cut = encoder.Append(text, batch);
            if (cut) truncated++;
            pending.Add((text, cut));
            if (batch.Tokens >= encoder.Model.Encoder.BatchTokens) Flush();
        }
        Flush();
        return truncated;

        void Flush()
        {
            if (pending.Count == 0) return;
            int size = encoder.Dimensions;
            if (vectors.Length < pending.Count * size) vectors = new float[pending.Count * size];
            encoder.Embed(batch, vectors.AsSpan(0, pending.Count * size), options);
            for (int i = 0; i < pending.Count; i++)
                writer.Write(pending[i].Text, vectors.AsSpan(i * size, options.Dimensions ?? size), batch.Length(i), pending[i].Truncated);
            batch.Clear();
            pending.Clear();
        }
    }
}
