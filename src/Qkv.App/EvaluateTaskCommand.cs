using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Output;
using Qkv.App.Training;
using Qkv.Encoders;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv evaluate classify</c> and <c>qkv evaluate ner</c>: how often a model is right about labelled texts.</summary>
internal static class EvaluateTaskCommand
{
    private const string Texts = "texts";

    public static Command Create(CommonOptions common, TaskKind kind)
    {
        bool texts = kind == TaskKind.Texts;
        Option<string> input = LabelledOptions.Input("Examples to measure on");
        Option<string?> textColumn = LabelledOptions.TextColumn(kind), labelColumn = LabelledOptions.LabelColumn(kind);
        Option<string?> pairColumn = LabelledOptions.PairColumn(), separator = LabelledOptions.Separator();
        var command = new Command(texts ? "classify" : "ner", texts ? "Measures a classifier: accuracy, F1 and what is taken for what; or how well numbers are predicted." : "Measures a model that finds entities: entity F1.")
        {
            input, textColumn, labelColumn,
        };
        if (texts)
            foreach (Option option in (Option[])[pairColumn, separator]) command.Add(option);
        common.Run(command, (invocation, result) =>
        {
            LabelledInput file = LabelledOptions.Resolve(kind, result.GetRequiredValue(input), result.GetValue(textColumn), result.GetValue(labelColumn), result.GetValue(pairColumn));
            TextEncoder encoder = invocation.LoadEncoder();
            return texts ? Classify(invocation, encoder, file, result.GetValue(separator) ?? LabelledOptions.DefaultSeparator) : FindEntities(invocation, encoder, file);
        });
        return command;
    }

    private static int Classify(Invocation invocation, TextEncoder encoder, LabelledInput file, string separator)
    {
        Model model = encoder.Model;
        if (model.Heads is not { ClassifierKind: ClassifierKind.Sequence, Classifier: not null, Pooler: not null }) throw NoHead(encoder, "BertForSequenceClassification");
        LabelSet labels = LabelSet.Of(model.Config, model.Heads.Classifier.Outputs, separator);
        file = file with { Columns = file.Columns with { Separator = labels.Separator } };
        SequencePredictions found = SequencePredictions.Of(model.Encoder, model.Heads, labels, LabelledTexts.Encode(file.Path, file.Read(), labels, encoder.Tokenizer, encoder.MaxTokens));
        (string Key, double Value)[] measures = MeasuresOf(found);
        if (invocation.Json)
        {
            JsonLineWriter.Write(invocation.Terminal, measures, Write);
            return 0;
        }
        var page = new Page();
        foreach ((string key, double value) in measures) page.Line(Row(key, value));
        page.Line();
        if (labels.Kind == SequenceLossKind.SingleLabel) ConfusionTable.Add(page, found.Confusion(), labels.Names);
        if (labels.Kind == SequenceLossKind.MultiLabel) AddLabels(page, found.MultiLabel(), labels.Names);
        page.WriteTo(invocation.Terminal);
        return 0;
    }

    /// <summary>What is measured, as JSON names it.</summary>
    private static (string Key, double Value)[] MeasuresOf(SequencePredictions found)
    {
        switch (found.Labels.Kind)
        {
            case SequenceLossKind.MultiLabel:
                MultiLabelScore score = found.MultiLabel();
                return [("accuracy", score.Accuracy), ("micro_f1", score.MicroF1), ("macro_f1", score.MacroF1), ("loss", found.Loss), (Texts, score.Count)];
            case SequenceLossKind.Regression:
                return [("spearman", found.Spearman), ("pearson", found.Pearson), ("mse", found.Loss), (Texts, found.Examples.Count)];
            default:
                Confusion confusion = found.Confusion();
                return [("accuracy", confusion.Accuracy), ("macro_f1", confusion.MacroF1), ("loss", found.Loss), (Texts, confusion.Count)];
        }
    }

    private static string Row(string key, double value)
    {
        string name = key.Replace('_', ' ').Replace("f1", "F1", StringComparison.Ordinal);
        return string.Create(CultureInfo.InvariantCulture, $"{name,-10}{(key == Texts ? $"{value:N0}" : key is "accuracy" or "micro_f1" or "macro_f1" ? $"{value:p2}" : $"{value:f4}")}");
    }

    private static void AddLabels(Page page, MultiLabelScore score, IReadOnlyList<string> labels)
    {
        page.Line("texts with the label, F1", Ink.Quiet);
        string[] names = [.. labels.Select(TokenLabels.Clean)];
        int width = names.Max(DisplayWidth.Of);
        for (int label = 0; label < names.Length; label++)
            page.Line(string.Create(CultureInfo.InvariantCulture, $"{DisplayWidth.Left(names[label], width)}{score.Expected(label),8:N0}{score.F1(label),10:p1}"));
    }

    private static int FindEntities(Invocation invocation, TextEncoder encoder, LabelledInput file)
    {
        Model model = encoder.Model;
        if (model.Heads is not { ClassifierKind: ClassifierKind.Token, Classifier: not null }) throw NoHead(encoder, "BertForTokenClassification");
        IReadOnlyList<string> tags = Names(model);
        TokenPredictions found = TokenPredictions.Of(model.Encoder, model.Heads, tags, TaggedTexts.Encode(file.Path, file.Read(), tags, encoder.Tokenizer, encoder.MaxTokens));
        if (invocation.Json)
            JsonLineWriter.Write(invocation.Terminal, found, Write);
        else
            invocation.Terminal.Text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"entity F1  {found.Score.F1:p2}\nprecision  {found.Score.Precision:p2}\nrecall     {found.Score.Recall:p2}\nloss       {found.Loss:f4}\nentities   {found.Score.Expected:N0}"));
        return 0;
    }

    private static IReadOnlyList<string> Names(Model model) => model.Config.Labels ?? [.. Enumerable.Range(0, model.Heads.Classifier!.Outputs).Select(i => $"LABEL_{i}")];

    private static InvalidOperationException NoHead(TextEncoder encoder, string architecture) =>
        new($"{encoder.Directory} has no such task head (architecture {string.Join(", ", encoder.Config.Architectures)}); name a directory saved from {architecture} with --model.");

    private static void Write(Utf8JsonWriter json, (string Key, double Value)[] measures)
    {
        json.WriteStartObject();
        foreach ((string key, double value) in measures) json.WriteNumber(key, value);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, TokenPredictions found)
    {
        json.WriteStartObject();
        json.WriteNumber("entity_f1", found.Score.F1);
        json.WriteNumber("precision", found.Score.Precision);
        json.WriteNumber("recall", found.Score.Recall);
        json.WriteNumber("loss", found.Loss);
        json.WriteNumber("entities", found.Score.Expected);
        json.WriteEndObject();
    }
}
