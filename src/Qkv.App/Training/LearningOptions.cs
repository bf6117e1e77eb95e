using System.CommandLine;
using System.Globalization;
using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Training;

namespace Qkv.App.Training;

/// <summary>The options of every <c>qkv train</c> that say what of a model is dropped and what is frozen while it learns.</summary>
internal sealed class LearningOptions(bool fineTuning)
{
    // Where a config.json says 0 it tells how the encoder was pre-trained, not how few examples should be learned.
    private const double FineTuningDropout = 0.1;

    private const double MostDropout = 0.9;

    private readonly Option<double?> _dropout = Options.Real("--dropout", 0, MostDropout, $"The part of each hidden state that is dropped in training (default: {Default(fineTuning, "hidden_dropout_prob")}).");
    private readonly Option<double?> _attentionDropout = Options.Real("--attention-dropout", 0, MostDropout, $"The part of the attention weights that is dropped in training (default: {Default(fineTuning, "attention_probs_dropout_prob")}).");
    private readonly Option<int?> _frozenLayers = Options.Number("--freeze-layers", 1, "How many layers, from the first on, stay as they are, and the embeddings with them.");
    private readonly Option<bool> _frozenEmbeddings = Options.Flag("--freeze-embeddings", "The embeddings stay as they are.");

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_dropout, _attentionDropout, _frozenLayers, _frozenEmbeddings]) command.Add(option);
    }

    /// <summary>What was asked for, to be told a model once it is loaded.</summary>
    public Func<TrainableModel, string> Read(ParseResult result)
    {
        double? dropout = result.GetValue(_dropout), attention = result.GetValue(_attentionDropout);
        int depth = result.GetValue(_frozenLayers) + 1 ?? (result.GetValue(_frozenEmbeddings) ? 1 : 0);
        return model => Apply(model, dropout, attention, depth);
    }

    /// <summary>Sets a model up; returns what belongs into the fingerprint of the run.</summary>
    private string Apply(TrainableModel model, double? dropout, double? attention, int depth)
    {
        EncoderConfig config = model.Config;
        if (depth > config.Layers + 1) throw new UsageException($"--freeze-layers must be at most {config.Layers}, the layers of this model, but is {depth - 1}");
        double hidden = dropout ?? Rate(config.HiddenDropout);
        model.Dropout = new DropoutPlan(hidden, attention ?? Rate(config.AttentionDropout), dropout ?? (fineTuning && config.ClassifierDropout is > 0 and double head ? Rate(head) : hidden));
        model.Freeze(depth);
        // Without either, as it was before there were such options: their runs go on.
        return (model.Dropout == default ? "" : string.Create(CultureInfo.InvariantCulture, $" dropout={model.Dropout.Hidden}:{model.Dropout.Attention}:{model.Dropout.Head}")) + (depth == 0 ? "" : $" frozen={depth}");
    }

    private double Rate(double configured) => !fineTuning ? 0 : configured == 0 ? FineTuningDropout : Math.Min(configured, MostDropout);

    private static string Default(bool fineTuning, string field) => fineTuning ? string.Create(CultureInfo.InvariantCulture, $"{field} of config.json, or {FineTuningDropout} where that is 0") : "0";
}
