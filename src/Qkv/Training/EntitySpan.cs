using Qkv.Encoders;

namespace Qkv.Training;

/// <summary>An entity as a place in a text.</summary>
/// <param name="Group">The tag without its B- or I-.</param>
/// <param name="Start">In UTF-16 units.</param>
/// <param name="End">Exclusive.</param>
internal readonly record struct EntitySpan(string Group, int Start, int End)
{
    /// <summary>Tagged pieces of a text as entities, joined as <c>qkv ner</c> joins them.</summary>
    public static List<EntitySpan> Join(IReadOnlyList<(string Tag, int Start, int End)> pieces) =>
        [.. EntityRun.Join([.. pieces.Select(piece => piece.Tag)]).Select(run => new EntitySpan(run.Group, pieces[run.First].Start, pieces[run.Last].End))];
}

/// <summary>Entities found against entities that are right; one counts only with its exact place and group.</summary>
/// <param name="Right">Entities found that are right.</param>
/// <param name="Found">Entities found.</param>
/// <param name="Expected">Entities that are there.</param>
internal readonly record struct EntityScore(int Right, int Found, int Expected)
{
    public double Precision => (double)Right / Math.Max(Found, 1);

    public double Recall => (double)Right / Math.Max(Expected, 1);

    /// <summary>2·right / (found + expected), over all texts together.</summary>
    public double F1 => 2.0 * Right / Math.Max(Found + Expected, 1);

    public EntityScore Add(IReadOnlyList<EntitySpan> expected, IReadOnlyList<EntitySpan> found) =>
        new(Right + found.Intersect(expected).Count(), Found + found.Count, Expected + expected.Count);
}
