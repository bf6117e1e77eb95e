using System.Globalization;
using System.IO.Enumeration;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Parameters;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Bench;

/// <summary>
/// How near the machine's limit the engine comes: the multiply-add peak of one thread and of all (and of the instructions in machine code), and the share of it that each
/// matrix product of BERT-base, attention, whole forward passes and a training step reach. Only multiply-adds count as work (two operations
/// each); bias, activation, residual, softmax and LayerNorm take time and count nothing. Prints TSV with a header line.
/// </summary>
internal static unsafe class LimitBenchmark
{
    private const double Budget = 0.3;

    private static readonly int[] s_rows = [1, 4, 16, 64, 128, 384, 512, 1024];

    public static void Run(string filter)
    {
        Console.WriteLine("case\tthreads\tmilliseconds\tgflops\tshare\ttokens_per_second");
        foreach (int threads in Threads())
        {
            double memory = MachinePeak.ReadGigabytes(threads, 1);
            var peaks = new SortedDictionary<Arithmetic, double> { [Arithmetic.Float32] = MachinePeak.Gflops(Arithmetic.Float32, threads, 1) };
            var results = new List<(Case Case, double Seconds)>();
            foreach (Case each in Cases(threads))
            {
                if (!FileSystemName.MatchesSimpleExpression(filter, each.Name)) continue;
                results.Add((each, Timing.Best(each.Prepare(), Budget)));
                // Other processes may have held the first measurement down; the peak is the best that was seen.
                peaks[each.Arithmetic] = Math.Max(peaks.GetValueOrDefault(each.Arithmetic), MachinePeak.Gflops(each.Arithmetic, threads, Budget / 10));
            }
            foreach ((Arithmetic arithmetic, double peak) in peaks)
                Console.WriteLine($"peak/{(arithmetic == Arithmetic.Float32 ? SimdSupport.Vectors : arithmetic)}\t{threads}\t\t{Number(peak)}\t{Number(1)}\t");
            Console.WriteLine($"memory/{Number(memory)} GB a second\t{threads}\t\t\t\t");
            foreach ((Case each, double seconds) in results)
            {
                double gflops = each.Operations / seconds / 1e9;
                Console.WriteLine($"{each.Name}\t{threads}\t{Number(1e3 * seconds)}\t{Number(gflops)}\t{Number(gflops / peaks[each.Arithmetic])}\t{(each.Tokens > 0 ? Number(each.Tokens / seconds) : "")}");
            }
        }
    }

    private static IEnumerable<int> Threads() => Workers.Limit == 1 ? [1] : [1, Workers.Limit];

    private static IEnumerable<Case> Cases(int threads)
    {
        // What C# multiplies by itself is float32 whatever the parameters are.
        Arithmetic[] arithmetics = [Arithmetic.Float32, .. MachineTiles.HasBFloat16 ? [Arithmetic.BFloat16] : (Arithmetic[])[], .. MachineTiles.HasInt8 ? [Arithmetic.Int8] : (Arithmetic[])[]];
        foreach (Product product in (Product[])[new("qkv", 3, 768, 768), new("projection", 1, 768, 768, Residual: true),
            new("intermediate", 1, 768, 3072, Activation.Gelu), new("output", 1, 3072, 768, Residual: true)])
            foreach (Arithmetic arithmetic in arithmetics)
                foreach (int rows in s_rows)
                    yield return new Case($"matmul{(arithmetic == Arithmetic.Float32 ? "" : "-" + arithmetic.ToString().ToLowerInvariant())}/{product.Name}/{product.Inputs}x{product.Maps * product.Outputs}/{rows}",
                        2.0 * rows * product.Inputs * product.Maps * product.Outputs, () => MatMulOf(product, rows, threads, PrecisionOf(arithmetic)), Arithmetic: arithmetic);
        foreach (int length in (int[])[128, 512, 2048])
            foreach (Arithmetic arithmetic in arithmetics)
                if (arithmetic != Arithmetic.Int8)
                    yield return new Case($"attention{(arithmetic == Arithmetic.Float32 ? "" : "-bfloat16")}/12x64/{length}", 4.0 * 768 * length * length, () => new AttentionInputs(length, threads, arithmetic == Arithmetic.BFloat16).Flash, Arithmetic: arithmetic);
        foreach (Arithmetic arithmetic in arithmetics)
        {
            Precision precision = PrecisionOf(arithmetic);
            Encoder? encoder = null;
            foreach ((int sequences, int length) in ((int, int)[])[(1, 128), (8, 128), (1, 512)])
                yield return new Case($"bert-base/{precision.ToString().ToLowerInvariant()}/{sequences}x{length}", ForwardOperations(RandomEncoder.Base, sequences, length),
                    () => ForwardOf(encoder ??= RandomEncoder.Create(RandomEncoder.Base, threads, precision), RandomEncoder.Batch(sequences, length)), sequences * length, arithmetic);
        }
        yield return TrainingStep(threads);
        if (threads > 1) yield break;
        foreach (int inner in (int[])[256, 768])
        {
            if (MachineTiles.HasFloat32) yield return Tile(Arithmetic.Float32, inner);
            if (MachineTiles.HasBFloat16) yield return Tile(Arithmetic.BFloat16, inner);
            if (MachineTiles.HasInt8) yield return Tile(Arithmetic.Int8, inner);
        }
    }

    private static Precision PrecisionOf(Arithmetic arithmetic) => Enum.Parse<Precision>(arithmetic.ToString());

    /// <summary>The highest register tile by itself, on numbers that stay in the nearest cache.</summary>
    private static Case Tile(Arithmetic arithmetic, int inner)
    {
        // Long beside the clock.
        const int calls = 1000;
        int columns = MatMulTile.PanelWidth;
        bool amx = MachineTiles.HasAmx && arithmetic != Arithmetic.Float32;
        int rows = amx ? MachineTiles.AmxRows : MachineTiles.Rows;
        return new Case($"tile/{arithmetic}/{rows}x{inner}", 2.0 * calls * rows * columns * inner, () =>
        {
            delegate* unmanaged[SuppressGCTransition]<TileCall*, void> tile = arithmetic switch
            {
                Arithmetic.Float32 => MachineTiles.Float32(rows),
                Arithmetic.BFloat16 => amx ? MachineTiles.AmxBFloat16(rows) : MachineTiles.BFloat16(rows),
                _ => amx ? MachineTiles.AmxInt8(rows) : MachineTiles.Int8(rows),
            };
            // Of a row of A, and of a column of B.
            int bytes = sizeof(float) * inner / (arithmetic switch { Arithmetic.Float32 => 1, Arithmetic.BFloat16 => 2, _ => 4 });
            AlignedBuffer a = RandomEncoder.Rows(rows, bytes / sizeof(float)), b = RandomEncoder.Rows(columns, bytes / sizeof(float)), c = new(rows * columns);
            return () =>
            {
                for (int i = 0; i < calls; i++)
                {
                    TileCall call = new()
                    {
                        A = (byte*)a.Pointer,
                        AStride = bytes,
                        B = (byte*)b.Pointer,
                        BStride = columns * sizeof(float),
                        C = (byte*)c.Pointer,
                        CStride = columns * sizeof(float),
                        Steps = bytes / 4,
                        Tiles = 1,
                        Next = (byte*)b.Pointer,
                        Rows = rows,
                        Registers = amx ? MachineTiles.Registers(rows) : null,
                    };
                    tile(&call);
                }
            };
        }, Arithmetic: arithmetic);
    }

    /// <summary>One step of the masked language model: 32 sequences of 128 tokens through 4 layers of 256, and back, and AdamW.</summary>
    private static Case TrainingStep(int threads)
    {
        const int sequences = 32, length = 128, vocabulary = 10_240;
        const double masked = 0.15 * sequences * (length - 2);
        var shape = new ModelShape();
        EncoderConfig config = RandomEncoder.Base with { HiddenSize = shape.Hidden, Layers = shape.Layers, Heads = shape.Heads, IntermediateSize = shape.Intermediate };
        // Every product of the forward pass comes back as two.
        double operations = 3 * (ForwardOperations(config, sequences, length) + 2 * masked * shape.Hidden * (shape.Hidden + vocabulary));
        return new Case($"train/mlm/4x256/{sequences}x{length}", operations, () =>
        {
            (TrainableModel model, Tokenizer tokenizer) = RandomEncoder.Trainable(shape, vocabulary, threads);
            var random = new Random(1);
            int[] stream = [.. Enumerable.Range(0, 100_000).Select(_ => random.Next(5, vocabulary))];
            var task = new MaskedLanguageTask(model, tokenizer, stream, new MaskedLanguageOptions(length, sequences * length));
            var optimizer = new AdamW();
            long step = 0;
            return () =>
            {
                task.Learn(1, ++step, 1);
                float clip = (float)Math.Min(1, 1 / AdamW.GradientNorm(model.Parameters, threads));
                foreach (Parameter parameter in model.Parameters) optimizer.Step(parameter, step, 1e-3, clip, threads);
                model.Refresh();
            };
        }, sequences * length);
    }

    private static Action MatMulOf(Product product, int rows, int threads, Precision precision)
    {
        Linear map = RandomEncoder.Map(product.Maps, product.Inputs, product.Outputs, precision);
        // As far apart as the encoder keeps them.
        int xStride = Stride(product.Inputs), yStride = Stride(map.Outputs);
        AlignedBuffer x = RandomEncoder.Rows(rows, xStride), residual = RandomEncoder.Rows(rows, map.Outputs), y = new((long)rows * yStride);
        return () => map.Forward(x.Pointer, xStride, rows, y.Pointer, yStride, threads, product.Activation, product.Residual ? residual.Pointer : null);

        static int Stride(int features) => features == RandomEncoder.Base.IntermediateSize ? AlignedBuffer.RowBytes(features * sizeof(float)) / sizeof(float) : features;
    }

    private static Action ForwardOf(Encoder encoder, TokenBatch batch)
    {
        var nobody = new Nobody();
        return () => encoder.Forward(batch, ref nobody);
    }

    private static double ForwardOperations(EncoderConfig config, double sequences, double length)
    {
        double features = config.HiddenSize, maps = 4 * features * features + 2 * features * config.IntermediateSize;
        return config.Layers * sequences * length * (2 * maps + 4 * features * length);
    }

    private static string Number(double value) => value.ToString(value < 10 ? "F3" : "F1", CultureInfo.InvariantCulture);

    private sealed record Case(string Name, double Operations, Func<Action> Prepare, int Tokens = 0, Arithmetic Arithmetic = Arithmetic.Float32);

    private sealed record Product(string Name, int Maps, int Inputs, int Outputs, Activation Activation = Activation.Linear, bool Residual = false);

    private readonly struct Nobody : IReceiver
    {
        public void Receive(in TokenSlice tokens, float* hidden)
        {
        }
    }
}
