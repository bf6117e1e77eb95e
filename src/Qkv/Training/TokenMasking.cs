namespace Qkv.Training;

/// <summary>
/// BERT's masking (Devlin et al. 2019): some tokens are to be guessed; of those 80 % become [MASK], 10 % a random token, 10 %
/// stay as they are.
/// </summary>
/// <param name="Rate">The share of tokens to be guessed.</param>
/// <param name="Mask">Id of [MASK].</param>
/// <param name="Vocabulary">V; random tokens are drawn from <paramref name="FirstOrdinary"/> … V − 1.</param>
/// <param name="FirstOrdinary">The first id that is not a special token; ids below it are never masked.</param>
internal sealed record TokenMasking(double Rate, int Mask, int Vocabulary, int FirstOrdinary)
{
    /// <summary>Masks tokens in place and appends their places and what stood there.</summary>
    /// <param name="ids">A sequence.</param>
    /// <param name="offset">Place of its first token in the batch.</param>
    /// <param name="random">Where the draws come from.</param>
    /// <param name="places">Places of the masked tokens in the batch.</param>
    /// <param name="targets">What stood there.</param>
    public void Apply(Span<int> ids, int offset, ref RandomStream random, List<int> places, List<int> targets)
    {
        for (int i = 0; i < ids.Length; i++)
        {
            if (ids[i] < FirstOrdinary || random.NextDouble() >= Rate) continue;
            places.Add(offset + i);
            targets.Add(ids[i]);
            double draw = random.NextDouble();
            if (draw < 0.8) ids[i] = Mask;
            else if (draw < 0.9) ids[i] = FirstOrdinary + random.Next(Vocabulary - FirstOrdinary);
        }
    }
}
