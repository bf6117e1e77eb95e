using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Qkv.App.Output;
using Qkv.App.Training;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv evaluate embed</c>: how well the vector of a text finds that of the text that belongs to it.</summary>
internal static class EvaluateEmbedCommand
{
    private const float Temperature = 0.05f;

    private static readonly int[] s_first = [1, 5, 10];

    public static Command Create(CommonOptions common)
    {
        var input = new Option<string>("--input") { Description = $"Pairs of texts that belong together: {PairOptions.Format}. With a column 'score', Spearman's correlation with the cosine is measured instead.", HelpName = "FILE", Required = true };
        Option<(string Anchor, string Positive)?> columns = PairOptions.Columns();
        Option<int?> limit = Options.Number("--limit", 1, "Pairs at most, chosen by a hash of their texts (default: 1000).");
        Option<int?> seed = Options.Number("--seed", 0, "Which pairs are chosen (default: 1).");
        Option<int?> holdOut = PairOptions.HoldOut("Measure on the pairs that 'train embed --hold-out N' kept out of training with this file first.");
        var command = new Command("embed", "Measures embeddings: how often a text's nearest neighbour is the one that belongs to it.") { input, columns, limit, seed, holdOut };
        common.Run(command, (invocation, result) =>
        {
            if (result.GetValue(holdOut) != null && (result.GetValue(limit) ?? result.GetValue(seed)) != null) throw new UsageException("--hold-out says which pairs are measured; leave --limit and --seed out.");
            List<TextPair> pairs = PairFile.Read(result.GetRequiredValue(input), result.GetValue(columns));
            TextEncoder encoder = invocation.LoadEncoder();
            if (pairs[0].Score != null) return Correlate(invocation, encoder, pairs);
            int count = result.GetValue(holdOut) ?? result.GetValue(limit) ?? 1000;
            return Search(invocation, encoder, DistinctPairs.Take(pairs, count, (ulong)(result.GetValue(seed) ?? 1)));
        });
        return command;
    }

    private static List<PairExample> Encode(TextEncoder encoder, IReadOnlyList<TextPair> pairs) => PairExample.Encode(pairs, encoder.Tokenizer, encoder.MaxTokens, encoder.Recipe.DefaultPrompt);

    private static int Search(Invocation invocation, TextEncoder encoder, IReadOnlyList<TextPair> pairs)
    {
        Retrieval found = Retrieval.Of(encoder.Model.Encoder, encoder.Recipe.Pooling, Encode(encoder, pairs), Temperature);
        if (invocation.Json)
        {
            JsonLineWriter.Write(invocation.Terminal, found, Write);
            return 0;
        }
        Page page = new Page().Line(string.Create(CultureInfo.InvariantCulture, $"each among {found.Pairs:N0}: first → second, second → first, mean"), Ink.Quiet);
        foreach (int first in s_first)
            page.Line(string.Create(CultureInfo.InvariantCulture, $"recall@{first,-4}{found.ForwardRecallAt(first),8:p2}{found.BackwardRecallAt(first),9:p2}{found.RecallAt(first),9:p2}"));
        page.Line(string.Create(CultureInfo.InvariantCulture, $"loss       {found.Loss:f4}")).WriteTo(invocation.Terminal);
        return 0;
    }

    private static int Correlate(Invocation invocation, TextEncoder encoder, IReadOnlyList<TextPair> pairs)
    {
        double spearman = Correlation.Spearman(Retrieval.Cosines(encoder.Model.Encoder, encoder.Recipe.Pooling, Encode(encoder, pairs)), [.. pairs.Select(pair => pair.Score!.Value)]);
        if (!double.IsFinite(spearman)) throw new InvalidDataException("All scores or all cosines are equal: there is no order to compare.");
        if (invocation.Json)
            JsonLineWriter.Write(invocation.Terminal, (Spearman: spearman, pairs.Count), static (json, found) =>
            {
                json.WriteStartObject();
                json.WriteNumber("spearman", found.Spearman);
                json.WriteNumber("pairs", found.Count);
                json.WriteEndObject();
            });
        else
            invocation.Terminal.Text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Spearman  {spearman:f4}\npairs     {pairs.Count:N0}"));
        return 0;
    }

    private static void Write(Utf8JsonWriter json, Retrieval found)
    {
        json.WriteStartObject();
        foreach (int first in s_first)
        {
            json.WriteNumber($"recall_at_{first}", found.RecallAt(first));
            json.WriteNumber($"recall_at_{first}_forward", found.ForwardRecallAt(first));
            json.WriteNumber($"recall_at_{first}_backward", found.BackwardRecallAt(first));
        }
        json.WriteNumber("loss", found.Loss);
        json.WriteNumber("pairs", found.Pairs);
        json.WriteEndObject();
    }
}
