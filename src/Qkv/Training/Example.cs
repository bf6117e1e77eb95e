using Qkv.Text;

namespace Qkv.Training;

/// <summary>A labelled text as a model reads it.</summary>
/// <param name="Ids">Token ids (L), special ones included.</param>
/// <param name="Targets">Label numbers: one of the whole text, or one a token (L), where a negative one is left out.</param>
internal record Example(int[] Ids, int[] Targets);

/// <summary>A text with entities.</summary>
/// <param name="Ids">Token ids (L).</param>
/// <param name="Targets">A tag number a token (L), −1 for special tokens.</param>
/// <param name="Offsets">Where each token lies in the text (L).</param>
/// <param name="Entities">The entities that are right.</param>
internal sealed record TaggedExample(int[] Ids, int[] Targets, TextRange[] Offsets, IReadOnlyList<EntitySpan> Entities) : Example(Ids, Targets);
