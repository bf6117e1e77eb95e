using System.Buffers;
using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>A pair as a model reads it.</summary>
/// <param name="Anchor">Token ids (L), special ones included.</param>
/// <param name="Positive">Those of the other text.</param>
/// <param name="AnchorText">Equal for texts that the model reads alike.</param>
/// <param name="PositiveText">The same of the other text.</param>
internal sealed record PairExample(int[] Anchor, int[] Positive, ulong AnchorText, ulong PositiveText)
{
    public int Tokens => Anchor.Length + Positive.Length;

    /// <param name="pairs">The texts.</param>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="length">The most tokens of a text; what is longer is cut.</param>
    /// <param name="prompt">What stands before every text, or null.</param>
    public static List<PairExample> Encode(IReadOnlyList<TextPair> pairs, Tokenizer tokenizer, int length, string? prompt)
    {
        var ids = new ArrayBufferWriter<int>();
        int[] Ids(string text)
        {
            ids.ResetWrittenCount();
            tokenizer.Append(prompt + text, ids, tokenizer.Cut(length));
            return ids.WrittenSpan.ToArray();
        }
        var examples = new List<PairExample>(pairs.Count);
        foreach (TextPair pair in pairs)
        {
            int[] anchor = Ids(pair.Anchor), positive = Ids(pair.Positive);
            examples.Add(new PairExample(anchor, positive, Hash.Of(anchor), Hash.Of(positive)));
        }
        return examples;
    }
}

/// <summary>How pairs are learned.</summary>
/// <param name="Pairs">Pairs of a step: each is told from so many others.</param>
/// <param name="Tokens">Tokens of a step at most.</param>
/// <param name="Pooling">How hidden states become one vector.</param>
/// <param name="Loss">The loss.</param>
/// <param name="TextShare">The share of steps that read pairs derived from text.</param>
internal sealed record ContrastiveOptions(int Pairs, int Tokens, Pooling Pooling, ContrastiveLoss Loss, double TextShare);

/// <summary>
/// Pairs of texts as a task, beside the masked language model where one is given: a step adds the gradients of one batch of each. A
/// batch is either of the pairs or of those derived from text: telling the two kinds apart would teach nothing.
/// </summary>
internal sealed class ContrastiveTask : ITrainingTask
{
    private readonly TrainableModel _model;
    private readonly ContrastiveOptions _options;
    private readonly ContrastiveStep _step;
    private readonly IReadOnlyList<PairExample> _pairs;
    private readonly IReadOnlyList<PairExample> _sentences;
    private readonly EpochBatches _pairBatches;
    private readonly EpochBatches _sentenceBatches;
    private readonly double _textShare;
    private readonly TokenBatch _batch = new();

    /// <param name="model">The model.</param>
    /// <param name="pairs">The pairs to learn from.</param>
    /// <param name="sentences">Pairs derived from text; may be empty.</param>
    /// <param name="options">How.</param>
    public ContrastiveTask(TrainableModel model, IReadOnlyList<PairExample> pairs, IReadOnlyList<PairExample> sentences, ContrastiveOptions options)
    {
        (_model, _pairs, _sentences, _options) = (model, pairs, sentences, options);
        _textShare = sentences.Count > 0 ? options.TextShare : 0;
        EpochBatches Cut(IReadOnlyList<PairExample> examples) => new([.. examples.Select(pair => pair.Tokens)], options.Tokens, options.Pairs);
        (_pairBatches, _sentenceBatches) = (Cut(pairs), Cut(sentences));
        _step = new ContrastiveStep(model, Math.Max(_pairBatches.Capacity, _sentenceBatches.Capacity), options.Pooling, options.Loss);
    }

    /// <summary>The masked language model that is learned beside the pairs, or null.</summary>
    public MaskedLanguageTask? MaskedLanguage { get; init; }

    /// <summary>What the masked language model's loss counts.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>Pairs to measure on along the way; empty for no measure.</summary>
    public IReadOnlyList<PairExample> Validation { get; init; } = [];

    /// <summary>Steps in which every pair is read so often.</summary>
    public long Steps(ulong seed, int epochs) => (long)Math.Ceiling(_pairBatches.Steps(seed, epochs) / (1 - _textShare));

    public (double Loss, int Tokens) Learn(ulong seed, long step, double progress)
    {
        // Of the first n steps ⌊n · share⌋ read text: where a step is in its stream is a function of the step.
        long texts = (long)(step * _textShare);
        bool readsText = texts > (long)((step - 1) * _textShare);
        IReadOnlyList<PairExample> examples = readsText ? _sentences : _pairs;
        ReadOnlySpan<int> rows = readsText ? _sentenceBatches.Of(seed, texts) : _pairBatches.Of(seed, step - texts);
        var names = new ulong[2 * rows.Length];
        _batch.Clear();
        for (int i = 0; i < rows.Length; i++)
        {
            _batch.Add(examples[rows[i]].Anchor);
            names[i] = examples[rows[i]].AnchorText;
        }
        for (int i = 0; i < rows.Length; i++)
        {
            _batch.Add(examples[rows[i]].Positive);
            names[rows.Length + i] = examples[rows[i]].PositiveText;
        }
        double loss = _step.Run(_batch, names);
        if (MaskedLanguage == null) return (loss, _batch.Tokens);
        // Other random numbers than those that shuffle the pairs.
        (double guessing, int tokens) = MaskedLanguage.Learn(~seed, step, progress);
        return (loss + Weight * guessing, _batch.Tokens + tokens);
    }

    /// <summary>The encoder, and the masked language model's head where that is learned; every other head stays as it is.</summary>
    public bool Learns(Parameter parameter) =>
        _model.DepthOf(parameter) <= _model.Config.Layers || (MaskedLanguage != null && parameter.Name.StartsWith("cls.predictions.", StringComparison.Ordinal));

    public Evaluation? Evaluate()
    {
        if (Validation.Count == 0) return null;
        Retrieval found = Retrieval.Of(_model.Encoder, _options.Pooling, Validation, _options.Loss.Temperature);
        return new Evaluation(found.Loss, "recall_at_1", found.RecallAt(1));
    }
}
