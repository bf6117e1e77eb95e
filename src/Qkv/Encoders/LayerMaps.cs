namespace Qkv.Encoders;

/// <summary>The kinds of linear maps of a layer, to choose among them.</summary>
[Flags]
internal enum LayerMaps
{
    None = 0,
    QueriesKeysValues = 1,
    Projection = 2,
    Intermediate = 4,
    Output = 8,
    All = QueriesKeysValues | Projection | Intermediate | Output,
}
