namespace Qkv.Kernels;

/// <summary>How the parameters of linear maps are held, and multiplied. Softmax, biases and LayerNorms are float32 whatever it is, and embedding tables stay as stored.</summary>
public enum Precision
{
    /// <summary>As float32.</summary>
    Float32,

    /// <summary>
    /// As the upper half of a float32, rounded to nearest: half the memory, which is what short texts wait for. Where the processor multiplies bfloat16
    /// (<see cref="SimdLevel.Avx512Bf16"/>, <see cref="SimdLevel.Amx"/>), activations are rounded as well, in attention too, for twice the speed and more; elsewhere parameters are
    /// widened in registers.
    /// </summary>
    BFloat16,

    /// <summary>
    /// The maps of the layers as int8, one scale an output feature, multiplied by activations that are rounded to uint8 token by token: a quarter of the memory
    /// and more products an instruction, for a loss of accuracy that <c>qkv doctor --precision int8</c> measures. Task heads stay float32.
    /// </summary>
    Int8,
}
