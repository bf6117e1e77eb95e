using System.Globalization;
using System.Text;
using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Output;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv.App.Doctor;

/// <summary>One thing that is known.</summary>
/// <param name="Group">What it is about.</param>
/// <param name="Name">Its name in JSON.</param>
/// <param name="Value">A string, number, truth value, null, or strings.</param>
/// <param name="Shown">How a person reads it, where that is not the value itself.</param>
internal sealed record Fact(string Group, string Name, object? Value, string? Shown = null);

/// <summary>Everything that was resolved when a model was loaded.</summary>
internal static class Facts
{
    // A person reads this many names of a list; JSON has all.
    private const int MostNames = 6;

    public static IReadOnlyList<Fact> Of(string name, TextEncoder encoder, SelfCheck check, PrecisionCheck? precision) =>
        [.. OfModel(name, encoder), .. OfText(encoder), .. OfMachine(encoder), .. OfPrecision(precision), .. OfCheck(check)];

    public static void Write(Utf8JsonWriter json, IReadOnlyList<Fact> facts)
    {
        json.WriteStartObject();
        foreach (IGrouping<string, Fact> group in facts.GroupBy(fact => fact.Group))
        {
            json.WriteStartObject(group.Key.Replace('-', '_'));
            foreach (Fact fact in group) Write(json, fact.Name, fact.Value);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    public static Page Show(IReadOnlyList<Fact> facts, SelfCheck check)
    {
        var page = new Page();
        int width = facts.Max(fact => fact.Name.Length);
        foreach (IGrouping<string, Fact> group in facts.GroupBy(fact => fact.Group))
        {
            page.Line(group.Key, Ink.Strong);
            foreach (Fact fact in group)
                page.Add($"  {fact.Name.Replace('_', ' ').PadRight(width)}  ", Ink.Quiet).Line(fact.Shown ?? Shown(fact.Value));
            page.Line();
        }
        return page.Line(check.Passed ? "All is well." : "Something is wrong.", Ink.Strong);
    }

    private static IEnumerable<Fact> OfModel(string name, TextEncoder encoder)
    {
        EncoderConfig config = encoder.Config;
        Model model = encoder.Model;
        const string group = "model";
        yield return new(group, "name", name);
        yield return new(group, "directory", Path.GetFullPath(encoder.Directory));
        yield return new(group, "parameters_file", Path.GetFileName(model.ParameterPath));
        yield return new(group, "family", config.ModelType);
        yield return new(group, "architectures", config.Architectures);
        yield return new(group, "layers", config.Layers);
        yield return new(group, "heads", config.Heads);
        yield return new(group, "head_size", config.HeadSize);
        yield return new(group, "hidden_size", config.HiddenSize);
        yield return new(group, "intermediate_size", config.IntermediateSize);
        yield return new(group, "vocabulary_size", config.VocabularySize);
        yield return new(group, "activation", config.Activation);
        yield return new(group, "positions", config.PositionEmbeddingType);
        yield return new(group, "max_positions", config.MaxPositions);
        yield return new(group, "parameters", model.ParameterCount);
        yield return new(group, "dtype", model.Types.Select(type => type.StoredName()).ToArray());
        yield return new(group, "task_heads", model.Heads.Names.ToArray());
        yield return new(group, "labels", config.Labels?.ToArray());
        yield return new(group, "ignored_tensors", model.Ignored, model.Ignored.Count > 0 ? $"{model.Ignored.Count}: {Shown(model.Ignored)}" : "none");
    }

    private static IEnumerable<Fact> OfText(TextEncoder encoder)
    {
        const string group = "text";
        if (Tokenizer.Exists(encoder.Directory))
        {
            Tokenizer tokenizer = encoder.Tokenizer;
            yield return new(group, "tokenizer", "WordPiece");
            yield return new(group, "tokenizer_file", File.Exists(Path.Combine(encoder.Directory, "tokenizer.json")) ? "tokenizer.json" : "vocab.txt");
            yield return new(group, "tokenizer_vocabulary_size", tokenizer.Vocabulary.Count,
                tokenizer.Vocabulary.Count == encoder.Config.VocabularySize ? null : $"{Shown(tokenizer.Vocabulary.Count)}, where the model has {Shown(encoder.Config.VocabularySize)}");
            yield return new(group, "lowercase", tokenizer.Normalizer.Lowercase);
            yield return new(group, "strip_accents", tokenizer.Normalizer.StripsAccents);
            yield return new(group, "special_tokens", tokenizer.SpecialTokens.ToArray());
            yield return new(group, "truncation_side", tokenizer.TruncationSide.ToString().ToLowerInvariant());
        }
        else
        {
            yield return new(group, "tokenizer", null);
        }
        EmbeddingRecipe recipe = encoder.Recipe;
        yield return new(group, "max_length", encoder.MaxTokens);
        yield return new(group, "sentence_transformers", recipe.IsSentenceTransformer);
        yield return new(group, "pooling", recipe.Pooling.ToString().ToLowerInvariant());
        yield return new(group, "normalize", recipe.Normalize);
        yield return new(group, "prompts", recipe.Prompts.Select(prompt => $"{prompt.Key}: {prompt.Value}").ToArray());
        yield return new(group, "default_prompt", recipe.DefaultPrompt);
    }

    private static IEnumerable<Fact> OfMachine(TextEncoder encoder)
    {
        const string group = "machine";
        long held = encoder.Model.Size, resident = Environment.WorkingSet;
        yield return new(group, "precision", encoder.Model.Precision.ToString().ToLowerInvariant());
        yield return new(group, "memory_of_parameters", held, Megabytes(held));
        yield return new(group, "memory_of_process", resident, Megabytes(resident));
        yield return new(group, "simd", (int)SimdSupport.Vectors, Bits(SimdSupport.Level));
        yield return new(group, "simd_of_processor", (int)SimdSupport.VectorsOf(SimdSupport.Processor), Bits(SimdSupport.Processor));
        (string Name, bool Has)[] tiles = [("float32", MachineTiles.HasFloat32), ("int8", MachineTiles.HasInt8), ("bfloat16", MachineTiles.HasBFloat16 || MachineTiles.HasWidening)];
        yield return new(group, "machine_code", (string[])[.. tiles.Where(tile => tile.Has).Select(tile => tile.Name)], MachineTiles.Refusal);
        yield return new(group, "threads", encoder.Model.Encoder.Threads);
        yield return new(group, "threads_of_machine", Workers.Limit);
    }

    private static IEnumerable<Fact> OfPrecision(PrecisionCheck? check)
    {
        if (check == null) yield break;
        const string group = "beside-float32";
        yield return new(group, "texts", check.Texts);
        yield return Cosine("mean_cosine", check.MeanCosine);
        yield return new(group, "same_nearest_neighbour", Number(check.SameNearest), check.SameNearest.ToString("P1", CultureInfo.InvariantCulture));
        yield return Cosine("worst_cosine", check.Worst.Cosine);
        yield return new(group, "worst_text", check.Worst.Text, Short(check.Worst.Text));
        yield return Cosine("worst_token_cosine", check.WorstToken.Cosine);
        yield return new(group, "worst_token", check.WorstToken.Token);
        yield return new(group, "worst_token_text", check.WorstToken.Text, Short(check.WorstToken.Text));
        foreach ((LayerMaps kind, double cosine) in check.Kinds.OrderBy(kind => kind.Cosine))
            yield return Cosine("only_" + JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString()), cosine);

        static Fact Cosine(string name, double cosine) => new(group, name, Number(cosine), cosine.ToString("F6", CultureInfo.InvariantCulture));
    }

    private static IEnumerable<Fact> OfCheck(SelfCheck check)
    {
        const string group = "self-check";
        string difference = check.LargestDifference.ToString("0.0e+0", CultureInfo.InvariantCulture);
        yield return new(group, "reference_and_flash_differ_by", Number(check.LargestDifference), $"{difference} (at most {SelfCheck.Tolerance.ToString("0e+0", CultureInfo.InvariantCulture)})");
        yield return new(group, "two_runs_same_bits", check.SameBits);
        yield return new(group, "passed", check.Passed);
    }

    // JSON knows no NaN.
    private static object? Number(double number) => double.IsFinite(number) ? (float)number : null;

    private static string Megabytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:N1} MB");

    private static string Bits(SimdLevel level) => level switch
    {
        SimdLevel.Scalar => "scalar",
        SimdLevel.Avx2 => "256 bits, AVX2",
        SimdLevel.Avx512Vnni => "512 bits, AVX512-VNNI",
        SimdLevel.Avx512Bf16 => "512 bits, AVX512-VNNI, AVX512-BF16",
        SimdLevel.Amx => "512 bits, AVX512-VNNI, AVX512-BF16, AMX",
        _ => $"{(int)level} bits",
    };

    private static void Write(Utf8JsonWriter json, string name, object? value)
    {
        switch (value)
        {
            case null: json.WriteNull(name); break;
            case bool truth: json.WriteBoolean(name, truth); break;
            case int number: json.WriteNumber(name, number); break;
            case long number: json.WriteNumber(name, number); break;
            case float number: json.WriteNumber(name, number); break;
            case IEnumerable<string> strings:
                json.WriteStartArray(name);
                foreach (string text in strings) json.WriteStringValue(text);
                json.WriteEndArray();
                break;
            default: json.WriteString(name, value.ToString()); break;
        }
    }

    /// <summary>As much of a text as tells which it is.</summary>
    private static string Short(string text)
    {
        const int most = 60;
        Rune[] runes = [.. text.EnumerateRunes()];
        return runes.Length <= most ? text : $"{string.Concat(runes.Take(most))}…";
    }

    private static string Shown(object? value) => value switch
    {
        null => "none",
        bool truth => truth ? "yes" : "no",
        int or long => string.Create(CultureInfo.InvariantCulture, $"{value:N0}"),
        IReadOnlyCollection<string> { Count: 0 } => "none",
        IReadOnlyCollection<string> names => TokenLabels.Clean(string.Join(", ", names.Take(MostNames)) + (names.Count > MostNames ? $" and {names.Count - MostNames} more" : "")),
        _ => TokenLabels.Clean(value.ToString()!),
    };
}
