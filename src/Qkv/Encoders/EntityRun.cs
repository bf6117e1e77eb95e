namespace Qkv.Encoders;

/// <summary>Neighbouring pieces of a text that carry one entity: pieces <paramref name="First"/> … <paramref name="Last"/>.</summary>
/// <param name="Group">The tag without its B- or I-.</param>
/// <param name="First">Its first piece.</param>
/// <param name="Last">Its last piece.</param>
internal readonly record struct EntityRun(string Group, int First, int Last)
{
    /// <summary>
    /// The entities in a row of tags: neighbours of the same group are one, a B- starts the next, O is none, and an I- behind another
    /// group starts one too.
    /// </summary>
    public static List<EntityRun> Join(IReadOnlyList<string> tags)
    {
        var runs = new List<EntityRun>();
        string open = "O";
        for (int piece = 0; piece < tags.Count; piece++)
        {
            bool begins = tags[piece].StartsWith("B-", StringComparison.Ordinal);
            string group = begins || tags[piece].StartsWith("I-", StringComparison.Ordinal) ? tags[piece][2..] : tags[piece];
            if (group == open && group != "O" && !begins) runs[^1] = runs[^1] with { Last = piece };
            else if (group != "O") runs.Add(new EntityRun(group, piece, piece));
            open = group;
        }
        return runs;
    }
}
