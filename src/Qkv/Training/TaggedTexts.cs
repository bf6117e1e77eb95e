using Qkv.Text;

namespace Qkv.Training;

/// <summary>
/// Texts with a tag for each character, as rows of a file and as a model reads them. Both columns are separated by single spaces; ▁
/// stands for a space of the text. Tags are O, B-group (a group begins) and I-group (it goes on).
/// </summary>
internal static class TaggedTexts
{
    private const string Space = "▁";

    /// <summary>O, and a B- and an I- of every group, in alphabetical order.</summary>
    /// <exception cref="InvalidDataException">A tag is of another form, or there is no entity; names file and line.</exception>
    public static string[] TagsOf(string path, IReadOnlyList<LabelledRow> rows)
    {
        var groups = new SortedSet<string>(StringComparer.Ordinal);
        foreach (LabelledRow row in rows)
            foreach (string tag in Split(path, row).Tags)
                if (tag != "O") groups.Add(tag[2..]);
        return groups.Count > 0
            ? ["O", .. groups.SelectMany(group => (string[])["B-" + group, "I-" + group])]
            : throw new InvalidDataException($"{path}: every tag is O; there is no entity to learn from.");
    }

    /// <summary>Groups that occur once only: nothing general can be learned of them.</summary>
    public static string[] Lonely(string path, IReadOnlyList<LabelledRow> rows) =>
        [.. rows.SelectMany(row => Entities(Split(path, row))).CountBy(entity => entity.Group).Where(group => group.Value == 1).Select(group => group.Key)];

    /// <summary>A token is tagged as its first character is.</summary>
    /// <exception cref="InvalidDataException">Tags do not match characters, or one is not among those known; names file and line.</exception>
    public static List<TaggedExample> Encode(string path, IReadOnlyList<LabelledRow> rows, IReadOnlyList<string> tags, Tokenizer tokenizer, int length)
    {
        Dictionary<string, int> numbers = tags.Index().ToDictionary(tag => tag.Item, tag => tag.Index);
        var examples = new List<TaggedExample>(rows.Count);
        foreach (LabelledRow row in rows)
        {
            (string[] characters, string[] tagged) = Split(path, row);
            if (tagged.FirstOrDefault(tag => !numbers.ContainsKey(tag)) is { } unknown) throw TextLines.Bad(path, row.Line, LabelSet.Unknown("tag", unknown, tags));
            // Which character a UTF-16 unit of the text belongs to.
            int[] owner = [.. characters.SelectMany((character, i) => Enumerable.Repeat(i, character.Length))];
            Encoding encoding = tokenizer.Encode(string.Concat(characters), options: tokenizer.Cut(length));
            int[] targets = [.. encoding.Offsets.Select((range, token) => encoding.SpecialTokensMask[token] != 0 ? -1 : numbers[tagged[owner[Math.Min(range.Start, owner.Length - 1)]]])];
            examples.Add(new TaggedExample([.. encoding.Ids], targets, [.. encoding.Offsets], Entities((characters, tagged))));
        }
        return examples;
    }

    private static List<EntitySpan> Entities((string[] Characters, string[] Tags) row)
    {
        int end = 0;
        return EntitySpan.Join([.. row.Tags.Select((tag, i) => (tag, end, end += row.Characters[i].Length))]);
    }

    private static (string[] Characters, string[] Tags) Split(string path, LabelledRow row)
    {
        string[] characters = row.Text.Split(' '), tags = row.Label.Split(' ');
        if (characters.Length != tags.Length)
            throw TextLines.Bad(path, row.Line, $"it has {tags.Length} tags for {characters.Length} characters; separate both by single spaces and write {Space} for a space of the text");
        if (tags.FirstOrDefault(tag => tag != "O" && tag is not ['B' or 'I', '-', _, ..]) is { } bad)
            throw TextLines.Bad(path, row.Line, $"the tag '{bad}' is neither O nor B-… nor I-…");
        for (int i = 0; i < tags.Length; i++)
        {
            // I- goes on with the entity of the tag before.
            if (tags[i][0] == 'I' && (i == 0 || tags[i - 1] == "O" || !tags[i - 1].AsSpan(2).SequenceEqual(tags[i].AsSpan(2))))
                throw TextLines.Bad(path, row.Line, $"the tag '{tags[i]}' of character {i + 1} goes on with an entity that did not begin; write 'B-{tags[i][2..]}' where one begins");
        }
        for (int i = 0; i < characters.Length; i++)
        {
            if (characters[i].Length == 0) throw TextLines.Bad(path, row.Line, $"character {i + 1} is empty; write {Space} for a space of the text");
            if (characters[i] == Space) characters[i] = " ";
        }
        return (characters, tags);
    }
}
