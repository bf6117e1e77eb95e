using System.CommandLine;
using System.Globalization;
using Qkv.App.Output;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv train vocabulary</c>: a WordPiece vocabulary from text.</summary>
internal static class TrainVocabularyCommand
{
    private const int Size = 30_000;
    private const int LeastCount = 2;

    // As SentencePiece's: of thousands of Chinese characters the rarest would else take the room of words.
    private const double Coverage = 0.9995;

    public static Command Create(CommonOptions common)
    {
        var input = new Option<string[]>("--input") { Description = "Text: UTF-8; .gz is unpacked.", HelpName = "FILE...", Required = true, AllowMultipleArgumentsPerToken = true };
        var output = new Option<string>("--output") { Description = "The vocab.txt to write.", HelpName = "FILE", Required = true };
        Option<int?> size = Options.Number("--size", VocabularyTrainer.SpecialTokens.Length + 1, $"Tokens at most (default: {Size}).");
        Option<int?> leastCount = Options.Number("--min-count", 1, $"Characters and pairs of pieces that occur less often are left out (default: {LeastCount}).");
        Option<double?> coverage = Options.Real("--character-coverage", 0.5, 1, string.Create(CultureInfo.InvariantCulture, $"The part of the text that single characters must spell; the rarest beyond it are unknown (default: {Coverage})."));
        Option<bool> cased = Options.Flag("--no-lower-case", "Keep capitals and accents; tell 'qkv train mlm', too.");
        var command = new Command("vocabulary", "Makes a WordPiece vocabulary from text.") { input, output, size, leastCount, coverage, cased };
        common.Run(command, (invocation, result) => Run(
            invocation, result.GetRequiredValue(input), result.GetRequiredValue(output), result.GetValue(size) ?? Size, result.GetValue(leastCount) ?? LeastCount, result.GetValue(coverage) ?? Coverage, !result.GetValue(cased)));
        return command;
    }

    private static int Run(Invocation invocation, string[] inputs, string output, int size, int leastCount, double coverage, bool lowerCase)
    {
        OutputFile.Check(output, inputs);
        var words = new WordCounts(new NormalizerOptions(Lowercase: lowerCase));
        foreach (string path in inputs)
        {
            using FileStream file = TextLines.Open(path);
            using var progress = new Progress(invocation.Terminal, file);
            foreach (string line in progress.Watch(TextLines.Read(file, path))) words.Add(line);
        }
        if (words.Counts.Count == 0) throw new InvalidDataException($"{string.Join(", ", inputs)} {(inputs.Length == 1 ? "holds" : "hold")} no text.");
        IReadOnlyList<string> tokens = VocabularyTrainer.Train(words.Counts, size, leastCount, coverage);
        OutputFile.Write(output, path => File.WriteAllText(path, string.Concat(tokens.Select(token => token + "\n"))));
        invocation.Note(string.Create(CultureInfo.InvariantCulture, $"{tokens.Count:N0} tokens from {words.Counts.Count:N0} words are in {output}."));
        return 0;
    }
}
