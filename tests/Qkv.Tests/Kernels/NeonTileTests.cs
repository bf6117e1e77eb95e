using System.Diagnostics.CodeAnalysis;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using CsCheck;
using Qkv.Kernels;
using Qkv.Tests.Kernels.MachineCode;

namespace Qkv.Tests.Kernels;

/// <summary>
/// The tile of NEON: its loops on any processor, over lanes that are written out here, and the processor's own lanes where it has them.
/// </summary>
[Trait("Suite", "Numerical")]
public unsafe class NeonTileTests
{
    /// <summary>What a lane does, in plain words: float32.</summary>
    private readonly struct PlainFloat32 : NeonTile.ILanes
    {
        public static int Size => sizeof(float);

        public static Vector128<float> Left(byte* b) => Vector128.Load((float*)b);

        public static Vector128<float> Right(byte* b) => Vector128.Load((float*)b + 4);

        public static Vector128<float> Add(Vector128<float> sums, Vector128<float> b, Vector128<float> a, [ConstantExpected(Max = (byte)3)] byte lane) => Vector128.MultiplyAddEstimate(b, Vector128.Create(a[lane]), sums);

        public static Vector128<float> Sum(Vector128<float> a, Vector128<float> b) => a + b;
    }

    /// <summary>And four int8 to a lane.</summary>
    internal readonly struct PlainInt8 : NeonTile.ILanes
    {
        public static int Size => 4;

        public static Vector128<float> Left(byte* b) => PlainFloat32.Left(b);

        public static Vector128<float> Right(byte* b) => PlainFloat32.Right(b);

        public static Vector128<float> Add(Vector128<float> sums, Vector128<float> b, Vector128<float> a, [ConstantExpected(Max = (byte)3)] byte lane)
        {
            Vector128<int> result = sums.AsInt32();
            for (int column = 0; column < 4; column++)
                for (int i = 0; i < 4; i++) result = result.WithElement(column, result[column] + b.AsSByte()[4 * column + i] * a.AsSByte()[4 * lane + i]);
            return result.AsSingle();
        }

        public static Vector128<float> Sum(Vector128<float> a, Vector128<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();
    }

    [Fact]
    public void It_has_the_bits_of_the_tile_of_other_processors() => Has_the_bits_of_the_other_tile<PlainFloat32>();

    [Fact]
    public void So_have_the_lanes_of_the_processor()
    {
        Assert.SkipUnless(AdvSimd.Arm64.IsSupported, "This processor has no NEON.");
        Has_the_bits_of_the_other_tile<NeonTile.Float32<Float32Panel>>();
    }

    private static void Has_the_bits_of_the_other_tile<L>() where L : struct, NeonTile.ILanes
    {
        const int mostRows = 26, mostSteps = 40, gap = 3;
        int width = MatMulTile.PanelWidth;
        // Both end where memory does: nothing beyond the last row and the last step may be read.
        using GuardedMemory aMemory = new(mostRows * (mostSteps + gap) * sizeof(float)), bMemory = new(mostSteps * width * sizeof(float));
        Gen.Select(Gen.Int[1, mostRows], Gen.Int[0, mostSteps], Gen.Int[0, 2], Gen.Bool, Gen.Int).Repeatable().Sample((rows, steps, ends, starts, seed) =>
        {
            int aStride = steps + gap, aLength = (rows - 1) * aStride + steps, cStride = width + gap, addedStride = ends == 2 ? width + 1 : cStride, across = rows + 1;
            var random = new Random(seed);
            float[] a = RandomNumbers.Normal(random, aLength), b = RandomNumbers.Normal(random, steps * width), start = RandomNumbers.Normal(random, width);
            float[] expected = RandomNumbers.Normal(random, rows * cStride), ours = [.. expected], added = RandomNumbers.Normal(random, rows * addedStride);
            float* guardedA = (float*)aMemory.End - a.Length, guardedB = (float*)bMemory.End - b.Length;
            a.CopyTo(new Span<float>(guardedA, a.Length));
            b.CopyTo(new Span<float>(guardedB, b.Length));
            // The other tile is made to read A column by column, which is not NEON's.
            float[] columns = new float[steps * across + 1];
            for (int row = 0; row < rows; row++)
                for (int k = 0; k < steps; k++) columns[k * across + row] = a[row * aStride + k];
            fixed (float* pcolumns = columns, pstart = start, padded = added, pexpected = expected, pours = ours)
            {
                // C from nothing, onto itself, or onto another; from zero or from a start.
                var call = new TileEnds { CStride = cStride, Start = starts ? pstart : null, AddedStride = addedStride };
                MatMulTile.Multiply<Simd128, Float32Panel>(pcolumns, 1, across, (byte*)guardedB, width, call with { C = pexpected, Added = ends == 0 ? null : ends == 1 ? pexpected : padded }, rows, steps);
                NeonTile.Multiply<L>((byte*)guardedA, aStride * sizeof(float), (byte*)guardedB, width * sizeof(float), call with { C = pours, Added = ends == 0 ? null : ends == 1 ? pours : padded }, rows, steps);
            }
            Bits.Equal(expected, ours);
        }, iter: Effort.Iterations(300), threads: 1);
    }
}
