namespace Qkv.Parameters;

/// <summary>One parameter of a family: the name the engine knows it by, its shape, and the names it may be stored under.</summary>
/// <param name="Name">Hugging Face's name without the family's prefix: <c>encoder.layer.0.attention.self.query.weight</c>.</param>
/// <param name="Shape">The shape it must have; a linear map is (out, in).</param>
/// <param name="StoredNames">The names it may be stored under; two of them in one file are ambiguous.</param>
/// <param name="TiedTo">Stored names that hold the same numbers, and stand in for it where it is not stored itself.</param>
internal sealed record LogicalParameter(
    string Name, long[] Shape, IReadOnlyList<string> StoredNames, IReadOnlyList<string> TiedTo);
