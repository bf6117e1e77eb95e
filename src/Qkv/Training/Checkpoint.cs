using System.Globalization;
using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;

namespace Qkv.Training;

/// <summary>How far a run has come: with the parameters and their moments, all that resuming needs.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Tokens">Tokens read.</param>
/// <param name="Seconds">Time spent, over all sittings.</param>
/// <param name="Best">The best evaluation so far, or NaN.</param>
/// <param name="Stale">Evaluations since then.</param>
/// <param name="Fingerprint">The settings of the run: a checkpoint of another run is refused.</param>
internal sealed record TrainingState(long Step, long Tokens, double Seconds, double Best, int Stale, string Fingerprint)
{
    /// <summary>Before the first step.</summary>
    public static TrainingState Start(string fingerprint) => new(0, 0, 0, double.NaN, 0, fingerprint);
}

/// <summary>
/// One file that holds a run: every parameter, both moments of those that learn, and the state. It is written under another name and renamed, so
/// whenever the power fails there is a whole one.
/// </summary>
internal static class Checkpoint
{
    public const string FileName = "checkpoint.safetensors";

    public static void Save(string directory, TrainableModel model, TrainingState state) => SafetensorsWriter.Write(
        Path.Combine(directory, FileName),
        model.Parameters.Select(parameter => TrainableModel.Stored(parameter, parameter.Value)).Concat(model.Learning.SelectMany(parameter => (SafetensorsTensor[])
        [
            TrainableModel.Stored(parameter, parameter.FirstMoment, "first_moment."),
            TrainableModel.Stored(parameter, parameter.SecondMoment, "second_moment."),
        ])),
        new Dictionary<string, string>
        {
            ["step"] = state.Step.ToString(CultureInfo.InvariantCulture),
            ["tokens"] = state.Tokens.ToString(CultureInfo.InvariantCulture),
            ["seconds"] = state.Seconds.ToString("r", CultureInfo.InvariantCulture),
            ["best"] = state.Best.ToString("r", CultureInfo.InvariantCulture),
            ["stale"] = state.Stale.ToString(CultureInfo.InvariantCulture),
            ["fingerprint"] = state.Fingerprint,
        });

    /// <summary>Puts the parameters and moments of a checkpoint into a model.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or belongs to another run.</exception>
    public static TrainingState Load(string directory, TrainableModel model, string fingerprint)
    {
        string path = Path.Combine(directory, FileName);
        using var file = new SafetensorsFile(path);
        string Field(string name) => file.Metadata.TryGetValue(name, out string? value) ? value : throw new InvalidDataException($"{path}: it says nothing of '{name}'; it is no checkpoint of a run.");
        if (Field("fingerprint") != fingerprint)
            throw new InvalidDataException($"{path} was written with other settings ({Field("fingerprint")}) than these ({fingerprint}); use the same, or another output directory.");
        foreach (Parameter parameter in model.Parameters) Read(parameter, parameter.Value, "");
        foreach (Parameter parameter in model.Learning)
        {
            Read(parameter, parameter.FirstMoment, "first_moment.");
            Read(parameter, parameter.SecondMoment, "second_moment.");
        }
        model.Refresh();
        return new TrainingState(
            long.Parse(Field("step"), CultureInfo.InvariantCulture), long.Parse(Field("tokens"), CultureInfo.InvariantCulture),
            double.Parse(Field("seconds"), CultureInfo.InvariantCulture), double.Parse(Field("best"), CultureInfo.InvariantCulture), int.Parse(Field("stale"), CultureInfo.InvariantCulture), fingerprint);

        void Read(Parameter parameter, AlignedBuffer numbers, string prefix)
        {
            SafetensorsTensor stored = TrainableModel.Stored(parameter, numbers, prefix);
            if (!file.Parameters.TryGetValue(stored.Name, out ParameterInfo? info) || !info.Shape.SequenceEqual(stored.Shape))
                throw new InvalidDataException($"{path}: tensor '{stored.Name}' is missing or of another shape; it is a checkpoint of another model.");
            file.Read(stored.Name, 0, numbers.Span);
        }
    }
}
