using BenchmarkDotNet.Attributes;
using Qkv.Encoders;
using Qkv.Kernels;

namespace Qkv.Bench;

/// <summary>The matrix products of a BERT-base layer, all threads.</summary>
[MemoryDiagnoser]
public unsafe class MatMulBenchmark
{
    private AlignedBuffer _x = null!, _y = null!;
    private Linear _map = null!;

    [Params(1, 16, 128, 1024)]
    public int Rows { get; set; }

    [Params("768x2304", "768x768", "768x3072", "3072x768")]
    public string Shape { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        int[] sizes = [.. Shape.Split('x').Select(int.Parse)];
        _map = RandomEncoder.Map(1, sizes[0], sizes[1]);
        _x = RandomEncoder.Rows(Rows, sizes[0]);
        _y = new AlignedBuffer((long)Rows * sizes[1]);
    }

    [Benchmark]
    public void MatMul() => _map.Forward(_x.Pointer, Rows, _y.Pointer, Workers.Limit);
}

/// <summary>Twelve heads of 64 features over one sequence, all threads: the tiled attention beside the one that keeps its matrices.</summary>
[MemoryDiagnoser]
public class AttentionBenchmark
{
    private const int Heads = 12, HeadSize = 64;

    private float[] _queries = [], _keys = [], _values = [], _context = [], _scores = [], _weights = [];

    [Params(32, 128, 512)]
    public int Length { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _queries = RandomEncoder.Numbers(Length * Heads * HeadSize);
        (_keys, _values, _context) = ([.. _queries], [.. _queries], new float[_queries.Length]);
        (_scores, _weights) = (new float[Heads * Length * Length], new float[Heads * Length * Length]);
    }

    [Benchmark]
    public void Flash() => FlashAttention.Forward(_queries, _keys, _values, Heads, HeadSize, _context);

    [Benchmark(Baseline = true)]
    public void Reference() => AttentionReference.Forward(_queries, _keys, _values, Heads, HeadSize, _scores, _weights, _context);
}

/// <summary>What works row by row, over 128 tokens of BERT-base.</summary>
[MemoryDiagnoser]
public class RowBenchmark
{
    private const int Rows = 128;

    private float[] _x = [], _y = [], _scale = [], _shift = [];

    [Params(768, 3072)]
    public int Columns { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _x = RandomEncoder.Numbers(Rows * Columns, 4f);
        (_y, _scale, _shift) = (new float[_x.Length], RandomEncoder.Numbers(Columns), RandomEncoder.Numbers(Columns));
    }

    [Benchmark]
    public void LayerNorm() => Kernels.LayerNorm.Forward(_x, _scale, _shift, 1e-12f, _y);

    [Benchmark]
    public void Softmax() => Kernels.Softmax.Forward(_x, Columns, _y);
}

/// <summary>Every activation over 128 · 3072 numbers, on one thread.</summary>
[MemoryDiagnoser]
public class ActivationBenchmark
{
    private readonly float[] _x = RandomEncoder.Numbers(128 * 3072, 4f), _y = new float[128 * 3072];

    [ParamsAllValues]
    public Activation Function { get; set; }

    [Benchmark]
    public void Apply() => ActivationFunctions.Apply(Function, _x, _y);
}
