using System.Runtime.InteropServices;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.Encoders;

/// <summary>
/// What an experiment changes in a recorded forward pass of one sequence of L tokens. A pass without changes has none of these, so it
/// costs nothing; a change that changes nothing (a temperature of 1, a key swapped with itself) leaves every bit as it was.
/// </summary>
internal sealed class Changes(EncoderConfig config, TokenBatch batch)
{
    private readonly LayerChange?[] _layers = new LayerChange?[config.Layers];

    /// <summary>Whether the embeddings leave the position out.</summary>
    public bool WithoutPositions { get; set; }

    public int Tokens => batch.Tokens;

    /// <summary>What is changed in a layer, or null.</summary>
    public LayerChange? Of(int layer) => _layers[layer];

    /// <summary>The change of a layer, to be added to.</summary>
    /// <exception cref="ArgumentException">There is no such layer.</exception>
    public LayerChange In(int layer)
    {
        Check("layer", layer, config.Layers);
        return _layers[layer] ??= new LayerChange(config.Heads, batch);
    }

    /// <summary>The changes of one layer, or of all.</summary>
    public IEnumerable<LayerChange> In(int? layer) => layer is { } one ? [In(one)] : Enumerable.Range(0, config.Layers).Select(In);

    /// <summary>The heads that are meant: one, or all.</summary>
    public IEnumerable<int> Heads(int? head)
    {
        if (head is not { } one) return Enumerable.Range(0, config.Heads);
        Check("head", one, config.Heads);
        return [one];
    }

    public void CheckToken(int token) => Check("token", token, batch.Tokens);

    private static void Check(string what, int index, int count)
    {
        if ((uint)index >= (uint)count) throw new ArgumentException($"There is no {what} {index}; there are 0 … {count - 1}.");
    }
}

/// <summary>What an experiment changes in one layer.</summary>
internal sealed unsafe class LayerChange(int heads, TokenBatch batch)
{
    // Scores of any model stay finite, and beyond them weights would not change any more.
    public const float LowestTemperature = 1e-6f, HighestTemperature = 1e6f;

    private readonly List<(int First, int Second)> _swapped = [];
    private float[]? _headFactors; // (H)
    private float[]? _temperatures; // (H)
    private byte[]? _hiddenKeys; // (L)
    private float[]? _additive; // (H, L, L)

    /// <summary>Whether the layer is left out: what comes in goes out.</summary>
    public bool Disabled { get; set; }

    private int Tokens => batch.Tokens;

    /// <summary>weights · 0 after the softmax, so that the head's context is exactly zero.</summary>
    public void Disable(int head) => (_headFactors ??= Filled(heads, 1f))[head] = 0f;

    /// <summary>scores / temperature</summary>
    public void Heat(int head, float temperature)
    {
        _temperatures ??= Filled(heads, 1f);
        _temperatures[head] = Math.Clamp(_temperatures[head] * temperature, LowestTemperature, HighestTemperature);
    }

    /// <summary>No query sees the key.</summary>
    public void Hide(int key)
    {
        if (_hiddenKeys == null)
        {
            _hiddenKeys = Pinned<byte>(Tokens);
            for (int token = 0; token < Tokens; token++) _hiddenKeys[token] = batch.IsHidden(token) ? (byte)1 : (byte)0;
        }
        _hiddenKeys[key] = 1;
    }

    /// <summary>Some queries see only some keys.</summary>
    public void Restrict(int head, IReadOnlyCollection<int> queries, IReadOnlyCollection<int> keys)
    {
        _additive ??= Pinned<float>(heads * Tokens * Tokens);
        var seen = new bool[Tokens];
        foreach (int key in keys) seen[key] = true;
        foreach (int query in queries)
            for (int key = 0; key < Tokens; key++)
                if (!seen[key]) _additive[(head * Tokens + query) * Tokens + key] = float.NegativeInfinity;
    }

    /// <summary>Two keys change places, and their values with them.</summary>
    public void Swap(int first, int second) => _swapped.Add((first, second));

    /// <summary>Changes keys and values in place, and what hides them.</summary>
    public void ApplyTo(ref AttentionShape shape)
    {
        int features = shape.Heads * shape.HeadSize;
        foreach ((int first, int second) in _swapped)
        {
            SwapRows(shape.Keys + first * shape.KeyStride, shape.Keys + second * shape.KeyStride, features);
            SwapRows(shape.Values + first * shape.KeyStride, shape.Values + second * shape.KeyStride, features);
        }
        shape.Temperatures = Address(_temperatures);
        shape.Mask.HeadFactors = Address(_headFactors);
        if (_hiddenKeys != null) shape.Mask.HiddenKeys = Address(_hiddenKeys);
        if (_additive == null) return;
        shape.Mask.Additive = Address(_additive);
        (shape.Mask.AdditiveHeadStride, shape.Mask.AdditiveQueryStride) = ((nint)Tokens * Tokens, Tokens);
    }

    private static void SwapRows(float* first, float* second, int features)
    {
        for (int i = 0; i < features; i++) (first[i], second[i]) = (second[i], first[i]);
    }

    private static float[] Filled(int length, float value)
    {
        float[] array = Pinned<float>(length);
        array.AsSpan().Fill(value);
        return array;
    }

    // Pinned arrays: the kernels read them by address.
    private static T[] Pinned<T>(int length) where T : unmanaged => GC.AllocateArray<T>(length, pinned: true);

    private static T* Address<T>(T[]? array) where T : unmanaged => array == null ? null : (T*)Marshal.UnsafeAddrOfPinnedArrayElement(array, 0);
}
