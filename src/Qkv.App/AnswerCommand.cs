using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Qkv.App.Attention;
using Qkv.App.Output;

namespace Qkv.App;

/// <summary><c>qkv answer</c>: the part of a context that answers a question.</summary>
internal static class AnswerCommand
{
    public static Command Create(CommonOptions common)
    {
        Option<string?> question = Options.Text("--question", "Q", "The question.");
        Option<string?> context = Options.Text("--context", "TEXT", "The text that has the answer; a long one is read to its end in overlapping windows.");
        (question.Required, context.Required) = (true, true);
        var command = new Command("answer", "Answers a question from a text: JSON {answer, score, start, end} with start and end in code points.") { question, context };
        common.Run(command, (invocation, result) => Run(invocation, result.GetRequiredValue(question)!, result.GetRequiredValue(context)!));
        return command;
    }

    private static int Run(Invocation invocation, string question, string context)
    {
        if (string.IsNullOrWhiteSpace(question)) throw new UsageException("--question must not be empty.");
        if (string.IsNullOrWhiteSpace(context)) throw new UsageException("--context must not be empty.");
        Answer answer = invocation.LoadEncoder().Answer(question, context);
        if (invocation.DataAsJson) JsonLineWriter.Write(invocation.Terminal, (answer, context), Write);
        else
            new Page().Add(TokenLabels.Clean(answer.Text), Ink.Strong).Line($"  {answer.Score.ToString("0.0000", CultureInfo.InvariantCulture)}", Ink.Quiet)
                .WriteTo(invocation.Terminal);
        return 0;
    }

    private static void Write(Utf8JsonWriter json, (Answer Answer, string Context) row)
    {
        json.WriteStartObject();
        json.WriteString("answer", row.Answer.Text);
        json.WriteNumber("score", row.Answer.Score);
        json.WriteNumber("start", CodePoints.Before(row.Context, row.Answer.Start));
        json.WriteNumber("end", CodePoints.Before(row.Context, row.Answer.End));
        json.WriteEndObject();
    }
}
