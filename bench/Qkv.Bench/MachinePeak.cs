using System.Runtime.CompilerServices;
using Qkv.Bench.Tiles;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;

namespace Qkv.Bench;

/// <summary>What is multiplied, and so which instruction's peak counts.</summary>
internal enum Arithmetic
{
    /// <summary>Fused multiply-adds of float32, with vectors of the SIMD level.</summary>
    Float32,

    /// <summary><c>vdpbf16ps</c>: pairs of bfloat16; or <c>tdpbf16ps</c>.</summary>
    BFloat16,

    /// <summary><c>vpdpbusd</c>: fours of 8-bit integers; or <c>tdpbusd</c>; or <c>vpmaddubsw</c>, <c>vpmaddwd</c> and <c>vpaddd</c>.</summary>
    Int8,
}

/// <summary>What the processor can do at the SIMD level in use: multiply-adds from registers, and reading memory.</summary>
internal static unsafe class MachinePeak
{
    // About 20 ms of multiply-adds, as a layer takes: the clock of a burst of 2 ms, which is 5 % higher, is not one that a forward pass can have.
    private const int Steps = 10_000_000;

    // Two multiply-add pipes of latency four keep eight additions in flight; twelve accumulators and two factors fit 16 registers.
    private const int Accumulators = 12;

    // Larger than the last cache of current processors.
    private const int BufferLength = 64 << 20;

    // 1 MB a part: the threads finish together.
    private const int NumbersPerPart = 1 << 18;

    /// <summary>Multiply-adds, counted as two operations each, in 10⁹ a second.</summary>
    public static double Gflops(Arithmetic arithmetic, int threads, double budget)
    {
        int parts = threads == 1 ? 1 : 2 * threads;
        if (arithmetic != Arithmetic.Float32)
        {
            nint loop = (nint)ExecutableMemory.Load(PeakLoop.Assemble(arithmetic), out string? refusal);
            if (loop == 0) throw new PlatformNotSupportedException(refusal);
            byte* registers = MachineTiles.HasAmx ? MachineTiles.Registers(MachineTiles.AmxRows) : null;
            // Zeros would take less power, and be multiplied faster than numbers are.
            AlignedBuffer factors = RandomEncoder.Rows(16, 64);
            var kernel = new MachineLoop((delegate* unmanaged<nint, byte*, float*, void>)loop, registers, factors.Pointer);
            double best = Timing.Best(() => Workers.Run(kernel, parts, threads), budget);
            GC.KeepAlive(factors);
            return PeakLoop.Operations(arithmetic) * parts / best / 1e9;
        }
        int width = Math.Max(1, (int)SimdSupport.Vectors / 32);
        var sums = new AlignedBuffer(parts);
        double seconds = Timing.Best(() => Workers.Run(new MultiplyAdds(sums.Pointer), parts, threads), budget);
        return 2.0 * Accumulators * width * Steps * parts / seconds / 1e9;
    }

    /// <summary>Memory read, in 10⁹ bytes a second.</summary>
    public static double ReadGigabytes(int threads, double budget)
    {
        var buffer = new AlignedBuffer(BufferLength);
        buffer.Span.Fill(1f);
        const int parts = BufferLength / NumbersPerPart;
        var sums = new AlignedBuffer(parts);
        double seconds = Timing.Best(() => Workers.Run(new Reads(buffer.Pointer, sums.Pointer), parts, threads), budget);
        return (double)BufferLength * sizeof(float) / seconds / 1e9;
    }

    private readonly struct MultiplyAdds(float* sums) : IKernel
    {
        private readonly float* _sums = sums;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            V x = V.Create(1e-3f), y = V.Create(1e-3f);
            V a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
            for (int step = 0; step < Steps; step++)
            {
                a = V.Fma(x, y, a);
                b = V.Fma(x, y, b);
                c = V.Fma(x, y, c);
                d = V.Fma(x, y, d);
                e = V.Fma(x, y, e);
                f = V.Fma(x, y, f);
                g = V.Fma(x, y, g);
                h = V.Fma(x, y, h);
                i = V.Fma(x, y, i);
                j = V.Fma(x, y, j);
                k = V.Fma(x, y, k);
                l = V.Fma(x, y, l);
            }
            _sums[part] = V.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
        }
    }

    private readonly struct MachineLoop(delegate* unmanaged<nint, byte*, float*, void> code, byte* registers, float* factors) : IKernel
    {
        private readonly delegate* unmanaged<nint, byte*, float*, void> _code = code;
        private readonly byte* _registers = registers;
        private readonly float* _factors = factors;

        public void Run<V>(int part, int worker) where V : struct, ISimd<V> => _code(PeakLoop.Steps, _registers, _factors);
    }

    private readonly struct Reads(float* buffer, float* sums) : IKernel
    {
        private readonly float* _buffer = buffer, _sums = sums;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>(int part, int worker) where V : struct, ISimd<V>
        {
            float* source = _buffer + (nint)part * NumbersPerPart, end = source + NumbersPerPart;
            V a = V.Create(0f), b = a, c = a, d = a;
            for (; source < end; source += 4 * V.Width)
            {
                a += V.Load(source);
                b += V.Load(source + V.Width);
                c += V.Load(source + 2 * V.Width);
                d += V.Load(source + 3 * V.Width);
            }
            _sums[part] = V.Sum(a + b + c + d);
        }
    }
}
