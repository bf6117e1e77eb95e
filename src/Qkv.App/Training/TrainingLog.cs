using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Qkv.App.Output;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>What any run of <c>qkv train</c> says: a line that moves on a terminal, one line an evaluation, <c>log.jsonl</c>, and in the end a picture of the losses.</summary>
internal sealed class TrainingLog(Terminal terminal, string directory) : IDisposable
{
    private const int StepsBetweenLines = 50;

    private readonly StreamWriter _file = new(Path.Combine(directory, "log.jsonl"), append: true) { AutoFlush = true };
    private readonly List<(double Tokens, double Loss)> _training = [];
    private readonly List<(double Tokens, double Loss)> _evaluations = [];
    private readonly Stopwatch _shown = Stopwatch.StartNew();
    private double _sum;
    private int _count;
    private (long Tokens, double Seconds)? _start;

    public void Report(TrainingReport report)
    {
        TrainingState state = report.State;
        _start ??= (state.Tokens, state.Seconds);
        _sum += report.Loss;
        _count++;
        if (terminal.IsErrorInteractive && _shown.ElapsedMilliseconds > 500) ShowProgress(report);
        if (state.Step % StepsBetweenLines != 0 && report.Evaluation == null && report.Progress < 1) return;
        double loss = _sum / _count;
        _training.Add((state.Tokens, loss));
        if (report.Evaluation is { } evaluation)
        {
            _evaluations.Add((state.Tokens, evaluation.Loss));
            terminal.Error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"\r{(terminal.IsErrorInteractive ? "\u001b[K" : "")}step {state.Step:N0}  {state.Tokens:N0} tokens  loss {loss:f3}  valid loss {evaluation.Loss:f3}  {evaluation.Measure.Replace('_', ' ')} {evaluation.Score:p1}  {Speed(state):N0} tokens/s").TrimStart('\r'));
            terminal.Error.Flush();
        }
        _file.WriteLine(Line(report, loss));
        (_sum, _count) = (0, 0);
    }

    /// <summary>Writes <c>loss.svg</c>.</summary>
    public void DrawCurve() => File.WriteAllText(Path.Combine(directory, "loss.svg"), LossCurve.Draw(_training, _evaluations));

    public void Dispose() => _file.Dispose();

    private double Speed(TrainingState state) => (state.Tokens - _start!.Value.Tokens) / Math.Max(state.Seconds - _start.Value.Seconds, 1e-9);

    private void ShowProgress(TrainingReport report)
    {
        _shown.Restart();
        TimeSpan left = TimeSpan.FromSeconds(report.State.Seconds * (1 - report.Progress) / Math.Max(report.Progress, 1e-9));
        terminal.Error.Write(string.Create(CultureInfo.InvariantCulture,
            $"\r{report.Progress,4:p0}  step {report.State.Step:N0}  loss {_sum / _count:f3}  {Speed(report.State):N0} tokens/s  {left:h\\:mm\\:ss} left\u001b[K"));
        terminal.Error.Flush();
    }

    private static string Line(TrainingReport report, double loss)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteNumber("step", report.State.Step);
            json.WriteNumber("tokens", report.State.Tokens);
            json.WriteNumber("seconds", Math.Round(report.State.Seconds, 1));
            json.WriteNumber("loss", Math.Round(loss, 5));
            json.WriteNumber("learning_rate", report.Rate);
            json.WriteNumber("gradient_norm", Math.Round(report.GradientNorm, 5));
            if (report.Evaluation is { } evaluation)
            {
                json.WriteNumber("valid_loss", Math.Round(evaluation.Loss, 5));
                json.WriteNumber(evaluation.Measure, Math.Round(evaluation.Score, 5));
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(bytes.ToArray());
    }
}
