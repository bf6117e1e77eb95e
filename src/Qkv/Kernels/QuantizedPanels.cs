using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
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
            fixed (float* w = rows.Slice(column * _inner, _inner))
            {
                float largest = Largest(w, _inner);
                bool finite = float.IsFinite(largest);
                float scale = finite ? MathF.Max(largest / sbyte.MaxValue, SmallestScale) : float.NaN;
                _scales.Pointer[panel * Width + column] = scale;
                ((int*)_sums.Pointer)[panel * Width + column] = finite ? Round(w, _inner, scale, destination + column * group, group, groupBytes) : 0;
            }
        }
    }

    /// <summary>The largest |w|; NaN where there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Largest(float* w, int count)
    {
        Vector128<float> most = default;
        int i = 0;
        for (; i + 4 <= count; i += 4) most = Vector128.Max(most, Vector128.Abs(Vector128.Load(w + i)));
        float largest = MathF.Max(MathF.Max(most[0], most[1]), MathF.Max(most[2], most[3]));
        for (; i < count; i++) largest = MathF.Max(largest, MathF.Abs(w[i]));
        return largest;
    }

    /// <summary>q = w / scale, group by group; returns their sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Round(float* w, int count, float scale, sbyte* groups, int group, int groupBytes)
    {
        Vector128<float> divisor = Vector128.Create(scale), most = Vector128.Create((float)sbyte.MaxValue);
        Vector128<int> sums = default;
        int i = 0;
        for (; i + 4 <= count; i += 4)
        {
            Vector128<int> q = Vector128.ConvertToInt32(Vector128.Clamp(Vector128.Round(Vector128.Load(w + i) / divisor), -most, most));
            sums += q;
            Vector128<short> halves = Vector128.Narrow(q, q);
            uint four = Vector128.Narrow(halves, halves).AsUInt32().ToScalar();
            if (group == 4)
            {
                *(uint*)(groups + (nint)(i / 4) * groupBytes) = four;
            }
            else
            {
                *(ushort*)(groups + (nint)(i / 2) * groupBytes) = (ushort)four;
                *(ushort*)(groups + (nint)(i / 2 + 1) * groupBytes) = (ushort)(four >> 16);
            }
        }
        int sum = Vector128.Sum(sums);
        for (; i < count; i++)
        {
            sbyte q = (sbyte)Math.Clamp(MathF.Round(w[i] / scale), -sbyte.MaxValue, sbyte.MaxValue);
            groups[Place(i, 0, group, groupBytes)] = q;
            sum += q;
        }
        return sum;
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
