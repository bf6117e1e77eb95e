using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The W of a linear map as int8, symmetric, with one scale a column (an output feature):
/// <code>w ≈ scale·q,  q = round(w / scale),  scale = max(|w| / 127, |w₂ᵢ + w₂ᵢ₊₁| / 128)</code>
/// with ties to even. The second bound is for processors that add the products of two neighbours in 16 bits (pmaddubsw), where 255·128 fits; it holds on all of them, so that
/// all multiply the same numbers. Packed for <see cref="QuantizedTile"/>: panels of W columns, each (K / 4, W, 4), with zeros up to the next four inputs.
/// A column that holds a NaN or an infinity has the scale NaN, so that nothing finite comes of it.
/// </summary>
internal sealed unsafe class QuantizedPanels
{
    /// <summary>The most inputs whose products, 255·128 a pair at most, cannot leave 32 bits.</summary>
    public const int MaxInner = 2 * (int.MaxValue / (byte.MaxValue * 128));

    // Half of 128, less what sum and quotients may be rounded by: at 128 two quotients that are a rounding above halves would make 129.
    private const float LargestHalf = 64 - 1f / 65536;

    // Below this the quotients would leave float32; a smaller number is as good as zero beside it.
    internal const float SmallestScale = 1e-35f;

    private static int Width => MatMulTile.PanelWidth;

    private readonly int _inner;
    private readonly AlignedBuffer _panels; // (panels, K / 4, W, 4) int8
    private readonly AlignedBuffer _scales; // (panels, W)
    private readonly AlignedBuffer _sums; // (panels, W) int32: Σ q of each column

    /// <exception cref="ArgumentException">The sums of so many inputs could leave 32 bits.</exception>
    public QuantizedPanels(int panels, int inner)
    {
        if (inner > MaxInner) throw new ArgumentException($"A linear map of {inner:N0} inputs cannot be held as int8, whose sums are exact for {MaxInner:N0} at most; use bfloat16 or float32.");
        _inner = inner;
        _panels = new AlignedBuffer((long)panels * Padded(inner) * Width / sizeof(float));
        _scales = new AlignedBuffer((long)panels * Width, zeroed: true);
        _sums = new AlignedBuffer((long)panels * Width, zeroed: true);
    }

    public long Size => ((long)_panels.Length + _scales.Length + _sums.Length) * sizeof(float);

    /// <summary>K in groups, as many as a tile takes at once.</summary>
    public static int Steps(int inner) => MachineTiles.WholeSteps((inner + QuantizedTile.Group - 1) / QuantizedTile.Group);

    /// <summary>The inputs that so many groups have room for.</summary>
    public static int Padded(int inner) => QuantizedTile.Group * Steps(inner);

    public QuantizedView View(int panel) => new()
    {
        Panels = Panel(panel),
        Scales = _scales.Pointer + (nint)panel * Width,
        Sums = (int*)_sums.Pointer + (nint)panel * Width,
    };

    /// <summary>Quantises the rows of W (columns, K) that make up one panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Set(int panel, ReadOnlySpan<float> rows) // (≤ W, K)
    {
        sbyte* destination = Panel(panel);
        int groupBytes = QuantizedTile.GroupBytes;
        new Span<sbyte>(destination, Padded(_inner) * Width).Clear();
        for (int column = 0; column < rows.Length / _inner; column++)
        {
            fixed (float* w = rows.Slice(column * _inner, _inner))
            {
                (float largest, float half) = Largest(w, _inner);
                bool finite = float.IsFinite(largest);
                float scale = finite ? MathF.Max(MathF.Max(largest / sbyte.MaxValue, half / LargestHalf), SmallestScale) : float.NaN;
                _scales.Pointer[panel * Width + column] = scale;
                ((int*)_sums.Pointer)[panel * Width + column] = finite ? Round(w, _inner, scale, destination + column * QuantizedTile.Group, groupBytes) : 0;
            }
        }
    }

    /// <summary>The largest |w|, NaN where there is one, and half the largest sum of two neighbours, which unlike the whole cannot leave float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (float Largest, float Half) Largest(float* w, int count)
    {
        Vector128<float> most = default, mostHalf = default;
        int i = 0;
        for (; i + 4 <= count; i += 4)
        {
            Vector128<float> four = Vector128.Load(w + i), halves = four * 0.5f;
            most = Vector128.Max(most, Vector128.Abs(four));
            mostHalf = Vector128.Max(mostHalf, Vector128.Abs(halves + Vector128.Shuffle(halves, Vector128.Create(1, 0, 3, 2))));
        }
        float largest = MathF.Max(MathF.Max(most[0], most[1]), MathF.Max(most[2], most[3])), half = MathF.Max(mostHalf[0], mostHalf[2]);
        for (; i < count; i++)
        {
            largest = MathF.Max(largest, MathF.Abs(w[i]));
            if (i % 2 == 1) half = MathF.Max(half, MathF.Abs(w[i - 1] * 0.5f + w[i] * 0.5f));
        }
        return (largest, half);
    }

    /// <summary>q = w / scale, four by four; returns their sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Round(float* w, int count, float scale, sbyte* groups, int groupBytes)
    {
        Vector128<float> divisor = Vector128.Create(scale);
        Vector128<int> sums = default;
        int i = 0;
        for (; i + 4 <= count; i += 4, groups += groupBytes)
        {
            Vector128<int> q = Vector128.ConvertToInt32(Vector128.Round(Vector128.Load(w + i) / divisor));
            sums += q;
            Vector128<short> halves = Vector128.Narrow(q, q);
            *(uint*)groups = Vector128.Narrow(halves, halves).AsUInt32().ToScalar();
        }
        int sum = Vector128.Sum(sums);
        for (; i < count; i++)
        {
            sbyte q = (sbyte)MathF.Round(w[i] / scale);
            groups[i % QuantizedTile.Group] = q;
            sum += q;
        }
        return sum;
    }

    /// <summary>A column as it is multiplied: scale·q.</summary>
    public void Read(int panel, int column, Span<float> numbers) // (K)
    {
        sbyte* source = Panel(panel);
        float scale = _scales.Pointer[panel * Width + column];
        int groupBytes = QuantizedTile.GroupBytes;
        for (int i = 0; i < _inner; i++) numbers[i] = scale * source[(nint)(i / QuantizedTile.Group) * groupBytes + column * QuantizedTile.Group + i % QuantizedTile.Group];
    }

    private sbyte* Panel(int panel) => (sbyte*)_panels.Pointer + (nint)panel * Padded(_inner) * Width;
}

/// <summary><see cref="QuantizedPanels"/> as a kernel sees them.</summary>
internal unsafe struct QuantizedView
{
    public sbyte* Panels; // (panels, K / 4, W, 4)
    public float* Scales; // (panels, W)
    public int* Sums; // (panels, W)
}
