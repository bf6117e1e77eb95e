using System.Runtime.CompilerServices;
using Qkv.Kernels.MachineCode;

namespace Qkv.Kernels;

/// <summary>
/// The W of a linear map as int8, symmetric, with one scale a column (an output feature): w ≈ scale·q, scale = max |w| / 127, q = w / scale to the
/// nearest, ties to even. Packed for <see cref="QuantizedTile"/>: panels of W columns, each (K / G, W, G), with zeros up to the next group of G
/// inputs. A column that holds a NaN or an infinity has the scale NaN, so that nothing finite comes of it.
/// </summary>
internal sealed unsafe class QuantizedPanels
{
    /// <summary>The most inputs whose products, 255·127 each at most, cannot leave 32 bits.</summary>
    public const int MaxInner = int.MaxValue / (byte.MaxValue * sbyte.MaxValue);

    // Below this the quotients would leave float32; a smaller number is as good as zero beside it.
    internal const float SmallestScale = 1e-35f;

    private static int Width => MatMulTile.PanelWidth;

    private readonly int _inner;
    private readonly AlignedBuffer _panels; // (panels, K / G, W, G) int8
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
        int group = QuantizedTile.Group, groupBytes = QuantizedTile.GroupBytes;
        new Span<sbyte>(destination, Padded(_inner) * Width).Clear();
        for (int column = 0; column < rows.Length / _inner; column++)
        {
            ReadOnlySpan<float> w = rows.Slice(column * _inner, _inner);
            float largest = 0f;
            foreach (float number in w) largest = MathF.Max(largest, MathF.Abs(number));
            bool finite = float.IsFinite(largest);
            float scale = finite ? MathF.Max(largest / sbyte.MaxValue, SmallestScale) : float.NaN;
            int sum = 0;
            for (int i = 0; finite && i < _inner; i++)
            {
                sbyte q = (sbyte)Math.Clamp(MathF.Round(w[i] / scale), -sbyte.MaxValue, sbyte.MaxValue);
                destination[Place(i, column, group, groupBytes)] = q;
                sum += q;
            }
            _scales.Pointer[panel * Width + column] = scale;
            ((int*)_sums.Pointer)[panel * Width + column] = sum;
        }
    }

    /// <summary>A column as it is multiplied: scale·q.</summary>
    public void Read(int panel, int column, Span<float> numbers) // (K)
    {
        sbyte* source = Panel(panel);
        float scale = _scales.Pointer[panel * Width + column];
        int group = QuantizedTile.Group, groupBytes = QuantizedTile.GroupBytes;
        for (int i = 0; i < _inner; i++) numbers[i] = scale * source[Place(i, column, group, groupBytes)];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Place(int i, int column, int group, int groupBytes) => (nint)(i / group) * groupBytes + column * group + i % group;

    private sbyte* Panel(int panel) => (sbyte*)_panels.Pointer + (nint)panel * Padded(_inner) * Width;
}

/// <summary><see cref="QuantizedPanels"/> as a kernel sees them.</summary>
internal unsafe struct QuantizedView
{
    public sbyte* Panels; // (panels, K / G, W, G)
    public float* Scales; // (panels, W)
    public int* Sums; // (panels, W)
}
