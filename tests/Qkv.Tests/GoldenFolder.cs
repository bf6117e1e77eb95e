using Qkv.Parameters;

namespace Qkv.Tests;

/// <summary>A folder of reference data: what the reference gives in float32, and in float64 where it was run so.</summary>
internal sealed class GoldenFolder(string name) : IDisposable
{
    private readonly ParameterFile? _expected64 = Open(name, "expected_f64.safetensors");
    private readonly ParameterFile? _parameters = Open(name, "model.safetensors");

    /// <summary>Inputs and float32 outputs.</summary>
    public ParameterFile Expected { get; } = Open(name, "expected.safetensors")!;

    /// <summary>A learned parameter.</summary>
    public float[] Parameter(string parameter) => _parameters!.ReadAll(parameter);

    /// <summary>A float32 tensor: an input, or what the reference gives in float32.</summary>
    public float[] this[string tensor] => Expected.ReadAll(tensor);

    /// <summary>What the reference gives in float64.</summary>
    public double[] Truth(string tensor) => _expected64!.ReadDoubles(tensor);

    /// <summary>
    /// Checks a tensor. <paramref name="view"/> says how numbers of the reference are laid out for the comparison; the twin is
    /// laid out like the reference.
    /// </summary>
    public void Check(string tensor, float[] ours, double[] twin, Func<double[], double[]>? view = null)
    {
        view ??= numbers => numbers;
        double[] truth = twin;
        if (_expected64?.Parameters.ContainsKey(tensor) == true)
        {
            truth = _expected64.ReadDoubles(tensor);
            Exactness.CheckTwin($"{name}/{tensor}", twin, truth);
        }
        Exactness.Check($"{name}/{tensor}", ours, view(Expected.ReadDoubles(tensor)).ToFloats(), view(truth));
    }

    public void Dispose()
    {
        Expected.Dispose();
        _expected64?.Dispose();
        _parameters?.Dispose();
    }

    private static ParameterFile? Open(string folder, string file) =>
        File.Exists(Golden.Path(folder, file)) ? ParameterFile.Open(Golden.Path(folder, file)) : null;
}
