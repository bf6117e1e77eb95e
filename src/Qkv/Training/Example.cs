using Qkv.Text;

namespace Qkv.Training;

/// <summary>A labelled text as a model reads it.</summary>
/// <param name="Ids">Token ids (L), special ones included.</param>
/// <param name="TypeIds">The segment of each token (L), or null where all are of the first.</param>
internal abstract record Example(int[] Ids, int[]? TypeIds);

/// <summary>A text with labels, or with a number.</summary>
/// <param name="Ids">Token ids (L), special ones included.</param>
/// <param name="TypeIds">The segment of each token (L), or null where all are of the first.</param>
/// <param name="Targets">What <see cref="SequenceLoss"/> compares with: the label's number; or 0 or 1 for every label; or the number.</param>
internal sealed record TextExample(int[] Ids, int[]? TypeIds, float[] Targets) : Example(Ids, TypeIds);

/// <summary>A text with entities.</summary>
/// <param name="Ids">Token ids (L), special ones included.</param>
/// <param name="Targets">A tag number a token (L), −1 for special tokens.</param>
/// <param name="Offsets">Where each token lies in the text (L).</param>
/// <param name="Entities">The entities that are right.</param>
internal sealed record TaggedExample(int[] Ids, int[] Targets, TextRange[] Offsets, IReadOnlyList<EntitySpan> Entities) : Example(Ids, null);
