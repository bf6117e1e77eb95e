using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Qkv.App.Output;
using Qkv.App.Training;
using Qkv.Encoders;
using Qkv.Training;

namespace Qkv.App;

/// <summary><c>qkv evaluate classify</c> and <c>qkv evaluate ner</c>: how often a model is right about labelled texts.</summary>
internal static class EvaluateTaskCommand
{
    public static Command Create(CommonOptions common, TaskKind kind)
    {
        bool texts = kind == TaskKind.Texts;
        Option<string> input = LabelledOptions.Input("Examples to measure on");
        Option<string?> textColumn = LabelledOptions.TextColumn(kind), labelColumn = LabelledOptions.LabelColumn(kind);
        var command = new Command(texts ? "classify" : "ner", texts ? "Measures a classifier: accuracy, macro F1, and what is taken for what." : "Measures a model that finds entities: entity F1.")
        {
            input, textColumn, labelColumn,
        };
        common.Run(command, (invocation, result) =>
        {
            LabelledInput file = LabelledOptions.Resolve(kind, result.GetRequiredValue(input), result.GetValue(textColumn), result.GetValue(labelColumn));
            TextEncoder encoder = invocation.LoadEncoder();
            return texts ? Classify(invocation, encoder, file) : FindEntities(invocation, encoder, file);
        });
        return command;
    }

    private static int Classify(Invocation invocation, TextEncoder encoder, LabelledInput file)
    {
        Model model = encoder.Model;
        if (model.Heads is not { ClassifierKind: ClassifierKind.Sequence, Classifier: not null, Pooler: not null }) throw NoHead(encoder, "BertForSequenceClassification");
        IReadOnlyList<string> labels = Names(model);
        SequencePredictions found = SequencePredictions.Of(model.Encoder, model.Heads, LabelledTexts.Encode(file.Path, file.Read(), labels, encoder.Tokenizer, encoder.MaxTokens));
        if (invocation.Json)
            JsonLineWriter.Write(invocation.Terminal, found, Write);
        else
        {
            Page page = new Page().Line(string.Create(CultureInfo.InvariantCulture, $"accuracy  {found.Confusion.Accuracy:p2}")).Line(string.Create(CultureInfo.InvariantCulture, $"macro F1  {found.Confusion.MacroF1:p2}"))
                .Line(string.Create(CultureInfo.InvariantCulture, $"loss      {found.Loss:f4}")).Line(string.Create(CultureInfo.InvariantCulture, $"texts     {found.Confusion.Count:N0}")).Line();
            ConfusionTable.Add(page, found.Confusion, labels);
            page.WriteTo(invocation.Terminal);
        }
        return 0;
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

    private static void Write(Utf8JsonWriter json, SequencePredictions found)
    {
        json.WriteStartObject();
        json.WriteNumber("accuracy", found.Confusion.Accuracy);
        json.WriteNumber("macro_f1", found.Confusion.MacroF1);
        json.WriteNumber("loss", found.Loss);
        json.WriteNumber("texts", found.Confusion.Count);
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
