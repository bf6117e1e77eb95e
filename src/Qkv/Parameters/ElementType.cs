namespace Qkv.Parameters;

/// <summary>The type of one stored number, by its name in safetensors.</summary>
public enum ElementType
{
    /// <summary>IEEE 754 double precision.</summary>
    F64,

    /// <summary>IEEE 754 single precision.</summary>
    F32,

    /// <summary>IEEE 754 half precision.</summary>
    F16,

    /// <summary>The upper half of a single-precision number.</summary>
    BF16,

    /// <summary>Signed 64-bit integer.</summary>
    I64,

    /// <summary>Signed 32-bit integer.</summary>
    I32,

    /// <summary>Signed 16-bit integer.</summary>
    I16,

    /// <summary>Signed 8-bit integer.</summary>
    I8,

    /// <summary>Unsigned 8-bit integer.</summary>
    U8,

    /// <summary>A truth value of one byte, 0 or 1.</summary>
    Bool,
}

/// <summary>What is known of an <see cref="ElementType"/>.</summary>
public static class ElementTypes
{
    /// <summary>The names of all types, for messages.</summary>
    internal const string Supported = "F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL";

    /// <summary>Bytes of one element.</summary>
    public static int Size(this ElementType type) => type switch
    {
        ElementType.F64 or ElementType.I64 => 8,
        ElementType.F32 or ElementType.I32 => 4,
        ElementType.F16 or ElementType.BF16 or ElementType.I16 => 2,
        _ => 1,
    };

    /// <summary>Whether the type is a floating-point type, so that a parameter may have it.</summary>
    public static bool IsFloat(this ElementType type) =>
        type is ElementType.F64 or ElementType.F32 or ElementType.F16 or ElementType.BF16;

    /// <summary>The type's name in a safetensors header.</summary>
    internal static string StoredName(this ElementType type) => type == ElementType.Bool ? "BOOL" : type.ToString();

    /// <summary>The type of a name in a safetensors header.</summary>
    internal static bool TryParse(string? name, out ElementType type)
    {
        ElementType? known = name switch
        {
            "F64" => ElementType.F64,
            "F32" => ElementType.F32,
            "F16" => ElementType.F16,
            "BF16" => ElementType.BF16,
            "I64" => ElementType.I64,
            "I32" => ElementType.I32,
            "I16" => ElementType.I16,
            "I8" => ElementType.I8,
            "U8" => ElementType.U8,
            "BOOL" => ElementType.Bool,
            _ => null,
        };
        type = known.GetValueOrDefault();
        return known.HasValue;
    }
}
