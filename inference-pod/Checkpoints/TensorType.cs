namespace Moebius.Inference.Checkpoints;

/// <summary>Element types that a safetensors header may name.</summary>
internal enum TensorType
{
    Bool,
    U8,
    I8,
    F8E5M2,
    F8E4M3,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
}

internal static class TensorTypes
{
    private static readonly Dictionary<string, TensorType> ByName = new(StringComparer.Ordinal)
    {
        ["BOOL"] = TensorType.Bool,
        ["U8"] = TensorType.U8,
        ["I8"] = TensorType.I8,
        ["F8_E5M2"] = TensorType.F8E5M2,
        ["F8_E4M3"] = TensorType.F8E4M3,
        ["I16"] = TensorType.I16,
        ["U16"] = TensorType.U16,
        ["F16"] = TensorType.F16,
        ["BF16"] = TensorType.BF16,
        ["I32"] = TensorType.I32,
        ["U32"] = TensorType.U32,
        ["F32"] = TensorType.F32,
        ["F64"] = TensorType.F64,
        ["I64"] = TensorType.I64,
        ["U64"] = TensorType.U64,
    };

    /// <summary>The names as the format writes them, for messages.</summary>
    public static string Known => string.Join(", ", ByName.Keys);

    public static bool TryParse(string name, out TensorType type) => ByName.TryGetValue(name, out type);

    public static string Name(this TensorType type) => ByName.First(p => p.Value == type).Key;

    public static int Bytes(this TensorType type) => type switch
    {
        TensorType.Bool or TensorType.U8 or TensorType.I8 or TensorType.F8E5M2 or TensorType.F8E4M3 => 1,
        TensorType.I16 or TensorType.U16 or TensorType.F16 or TensorType.BF16 => 2,
        TensorType.I32 or TensorType.U32 or TensorType.F32 => 4,
        _ => 8,
    };
}
