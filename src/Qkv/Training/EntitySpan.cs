namespace Qkv.Training;

/// <summary>An entity as a place in a text.</summary>
/// <param name="Group">The tag without its B- or I-.</param>
/// <param name="Start">In UTF-16 units.</param>
/// <param name="End">Exclusive.</param>
internal readonly record struct EntitySpan(string Group, int Start, int End)
{
    /// <summary>
    /// Tagged pieces of a text as entities: neighbours of the same group are one, a B- starts the next, O is none. An I- behind another
    /// group starts one too, as in <c>qkv ner</c>.
    /// </summary>
    public static List<EntitySpan> Join(IEnumerable<(string Tag, int Start, int End)> pieces)
    {
        var spans = new List<EntitySpan>();
        string open = "O";
        foreach ((string tag, int start, int end) in pieces)
        {
            bool begins = tag.StartsWith("B-", StringComparison.Ordinal);
            string group = begins || tag.StartsWith("I-", StringComparison.Ordinal) ? tag[2..] : tag;
            if (group == open && group != "O" && !begins) spans[^1] = spans[^1] with { End = end };
            else if (group != "O") spans.Add(new EntitySpan(group, start, end));
            open = group;
        }
        return spans;
    }
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
