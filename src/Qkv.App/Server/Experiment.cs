using System.Text.Json;

namespace Qkv.App.Server;

/// <summary>The same text traced twice, as it is and with something done otherwise, and what that changed.</summary>
internal sealed class Experiment : IDisposable
{
    private readonly TextEncoder _encoder;
    private readonly ExperimentRequest _request;
    private readonly TracedText _before, _after;
    private readonly List<int?> _rows;

    /// <exception cref="RequestException">The request makes no sense.</exception>
    public Experiment(TextEncoder encoder, ExperimentRequest request, TraceMemory? memory, CancellationToken cancellation)
    {
        (_encoder, _request) = (encoder, request);
        List<TracedToken> tokens = TracedToken.Read(encoder, request.Text, request.Pair, request.SpecialTokens);
        var common = new EditedText(encoder, tokens).Apply(request.Base);
        // The base is done again to the second copy, so that what it names moves with the tokens.
        var edited = new EditedText(encoder, tokens).Apply(request.Base).Apply(request.Interventions);
        List<int?> start = common.Before;
        _rows = [.. edited.Before.Select(row => row is { } number && start.IndexOf(number) is var at and >= 0 ? at : (int?)null)];
        List<Intervention> otherwise = edited.Interventions;
        _before = new TracedText(encoder, common.Tokens, common.Interventions, memory, cancellation);
        try
        {
            _after = new TracedText(encoder, edited.Tokens, otherwise, memory, cancellation);
        }
        catch
        {
            _before.Dispose();
            throw;
        }
    }

    /// <summary>Refuses early what <see cref="WriteAsync"/> would, without running anything.</summary>
    /// <param name="encoder">The model.</param>
    /// <param name="request">The experiment.</param>
    /// <param name="like">Any trace of the model: its tensors have the same names.</param>
    /// <exception cref="RequestException">The request makes no sense.</exception>
    public static void Check(TextEncoder encoder, ExperimentRequest request, AttentionTrace like)
    {
        var text = new EditedText(encoder, TracedToken.Read(encoder, request.Text, request.Pair, request.SpecialTokens)).Apply(request.Base);
        TraceJson.CheckPositions(request, text.Tokens.Count);
        _ = text.Apply(request.Interventions).Interventions;
        TensorPart.Find(like, [.. request.Tensors, .. request.Maps]);
        if (request.Parameters is { } head) HeadParameters.Of(encoder, head);
    }

    public void Dispose()
    {
        _before.Dispose();
        _after.Dispose();
    }

    public async ValueTask WriteAsync(JsonPipe pipe, string model)
    {
        Utf8JsonWriter json = pipe.Json;
        // What can be refused is refused before the first byte.
        int[] watched = TraceJson.Positions(_encoder, _request, _before) ?? [];
        TraceRequest after = _request with { Positions = [.. watched.Select(RowAfter).Where(row => row >= 0)], Predictions = _request.Predictions };
        var first = new TraceJson(_encoder, model, _request, _before);
        var second = new TraceJson(_encoder, model, after, _after);
        json.WriteStartObject();
        json.WritePropertyName("before");
        await first.WriteAsync(pipe);
        json.WritePropertyName("after");
        await second.WriteAsync(pipe);
        json.WriteStartArray("rows");
        foreach (int? row in _rows)
        {
            if (row is { } number) json.WriteNumberValue(number);
            else json.WriteNullValue();
        }
        json.WriteEndArray();
        json.WriteNumber("embedding_cosine", Cosine(_encoder.Embed(_before.Trace), _encoder.Embed(_after.Trace)));
        float[] differences = [.. Enumerable.Range(0, _before.Trace.Layers).Select(ContextDifference)];
        json.WriteNumber("context_difference", differences.Max());
        json.WriteStartArray("context_differences");
        foreach (float difference in differences) json.WriteNumberValue(difference);
        json.WriteEndArray();
        if (_encoder.Model.Heads.MaskedLanguage != null) WriteChanges(json, watched, second.Predicted ?? []);
        json.WriteEndObject();
    }

    /// <summary>The predictions of both sides, token by token.</summary>
    private void WriteChanges(Utf8JsonWriter json, int[] before, int[] after)
    {
        json.WriteStartArray("changes");
        foreach ((int? was, int? now) in before.Select(row => ((int?)row, RowAfter(row) is var found and >= 0 ? found : (int?)null))
            .Concat(after.Where(row => _rows[row] is not { } known || !before.Contains(known)).Select(row => (_rows[row], (int?)row))))
        {
            json.WriteStartObject();
            TraceJson.WriteOrNull(json, "position", was);
            TraceJson.WriteOrNull(json, "position_after", now);
            TraceJson.WriteTop(json, "before", was is { } first ? _encoder.Predict(_before.Trace, first, TraceJson.TopPredictions) : []);
            TraceJson.WriteTop(json, "after", now is { } second ? _encoder.Predict(_after.Trace, second, TraceJson.TopPredictions) : []);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private int RowAfter(int before) => _rows.IndexOf(before);

    /// <summary>The largest difference of a number of the context, between rows that are the same token.</summary>
    private float ContextDifference(int layer)
    {
        string name = $"layers.{layer}.context";
        float[] before = _before.Trace[name].ToFloats(), after = _after.Trace[name].ToFloats();
        int features = _encoder.Dimensions;
        float largest = 0f;
        for (int row = 0; row < _rows.Count; row++)
        {
            if (_rows[row] is not { } other) continue;
            for (int i = 0; i < features; i++) largest = MathF.Max(largest, MathF.Abs(after[row * features + i] - before[other * features + i]));
        }
        return largest;
    }

    private static double Cosine(float[] a, float[] b)
    {
        double product = 0, lengthA = 0, lengthB = 0;
        for (int i = 0; i < a.Length; i++)
        {
            product += (double)a[i] * b[i];
            lengthA += (double)a[i] * a[i];
            lengthB += (double)b[i] * b[i];
        }
        return lengthA > 0 && lengthB > 0 ? product / Math.Sqrt(lengthA * lengthB) : 0;
    }
}
