namespace Qkv.Kernels;

/// <summary>How the parameters of linear maps are held. Activations, sums, biases and LayerNorms are float32 whatever it is, and embedding tables stay as stored.</summary>
public enum Precision
{
    /// <summary>As float32.</summary>
    Float32,

    /// <summary>As the upper half of a float32, rounded to nearest and widened again in registers: half the memory, which is what short texts wait for.</summary>
    BFloat16,
}
