using System.Buffers;
using BenchmarkDotNet.Attributes;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Text;

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

/// <summary>Twelve heads of 64 features over one sequence, all threads.</summary>
[MemoryDiagnoser]
public class FlashAttentionBenchmark
{
    private AttentionInputs _inputs = null!;

    [Params(32, 128, 512)]
    public int Length { get; set; }

    [GlobalSetup]
    public void Setup() => _inputs = new AttentionInputs(Length, Workers.Limit);

    [Benchmark]
    public void Flash() => _inputs.Flash();
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

/// <summary>Every activation over 128 · 3072 numbers, all threads.</summary>
[MemoryDiagnoser]
public class ActivationBenchmark
{
    private readonly float[] _x = RandomEncoder.Numbers(128 * 3072, 4f), _y = new float[128 * 3072];

    [ParamsAllValues]
    public Activation Function { get; set; }

    [Benchmark]
    public void Apply() => ActivationFunctions.Apply(Function, _x, _y);
}

/// <summary>Ids of a mixed Chinese and English text, on one thread.</summary>
[MemoryDiagnoser]
public class TokenizerBenchmark
{
    private readonly ArrayBufferWriter<int> _ids = new(1 << 12);
    private Tokenizer _tokenizer = null!;

    [GlobalSetup]
    public void Setup() => _tokenizer = TokenizerRates.BuiltIn();

    [Benchmark]
    public int Tokenize()
    {
        _ids.ResetWrittenCount();
        foreach (string line in TokenizerRates.Sample) _tokenizer.Append(line, _ids);
        return _ids.WrittenCount;
    }
}
