using Qkv.Encoders;
using Qkv.Text;

namespace Qkv.Training;

/// <summary>How texts are cut for the masked language model.</summary>
/// <param name="Length">L, tokens of a window with [CLS] and [SEP], where the curriculum names no other.</param>
/// <param name="BatchTokens">Tokens of a step.</param>
/// <param name="MaskRate">The share of tokens to be guessed.</param>
internal sealed record MaskedLanguageOptions(int Length = 128, int BatchTokens = 4096, double MaskRate = 0.15)
{
    /// <summary>Windows of other lengths, in their order, before those of <see cref="Length"/>: attention learns sooner on short ones.</summary>
    public IReadOnlyList<WindowPhase> Curriculum { get; init; } = [];

    /// <summary>Lengths that take turns, a step each, instead of <see cref="Length"/>.</summary>
    public IReadOnlyList<int> Turns { get; init; } = [];

    /// <summary>What the gradients are multiplied by, beside those of another task.</summary>
    public float Weight { get; init; } = 1;

    /// <summary>All window lengths of the run.</summary>
    public IEnumerable<int> Lengths => Curriculum.Select(phase => phase.Length).Concat(Turns).Append(Length);

    /// <summary>The window's length in a step, when <paramref name="progress"/> (0 … 1) of the run is done.</summary>
    public int LengthAt(long step, double progress)
    {
        foreach (WindowPhase phase in Curriculum)
            if (progress < phase.Until) return phase.Length;
        return Turns.Count > 0 ? Turns[(int)((step - 1) % Turns.Count)] : Length;
    }
}

/// <summary>A part of a run with windows of one length.</summary>
/// <param name="Length">Tokens of a window.</param>
/// <param name="Until">The part of the run (0 … 1) at which it ends.</param>
internal readonly record struct WindowPhase(int Length, double Until);

/// <summary>What an evaluation of the masked language model found.</summary>
/// <param name="Loss">Mean cross entropy of the masked tokens, in nats.</param>
/// <param name="Accuracy">The share of masked tokens whose likeliest guess is right.</param>
/// <param name="Masked">How many tokens were masked.</param>
internal readonly record struct MaskedLanguageResult(double Loss, double Accuracy, int Masked)
{
    /// <summary>exp(loss): as uncertain as a choice among so many tokens.</summary>
    public double Perplexity => Math.Exp(Loss);
}

/// <summary>
/// The masked language model as a task: windows of a text with some tokens hidden. Which windows a step reads and what it hides is a
/// function of the seed and the step alone, so a run that is resumed reads what it would have read.
/// </summary>
internal sealed class MaskedLanguageTask : ITrainingTask
{
    // Seed and size of the evaluations on the way: the same windows each time.
    private const ulong EvaluationSeed = 99;
    private const int EvaluationWindows = 256;

    private readonly MaskedLanguageStep _step;
    private readonly MaskedLanguageOptions _options;
    private readonly TokenMasking _masking;
    private readonly int[] _train;
    private readonly int _cls;
    private readonly int _sep;
    private readonly TokenBatch _batch = new();
    private readonly List<int> _places = [];
    private readonly List<int> _targets = [];
    private int[] _window = [];

    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="train">The stream to learn from; may be empty where only evaluation is wanted.</param>
    /// <param name="options">How windows are cut.</param>
    /// <exception cref="ArgumentException">The model has no such head, or the options do not fit it.</exception>
    public MaskedLanguageTask(TrainableModel model, Tokenizer tokenizer, int[] train, MaskedLanguageOptions options)
    {
        if (model.Heads.MaskedLanguage == null) throw new ArgumentException("The model has no masked language model's head; start from a BertForMaskedLM directory.");
        foreach (int length in options.Lengths)
            if (length < 3 || length > model.Config.MaxPositions)
                throw new ArgumentException($"A window must have from 3 to {model.Config.MaxPositions} tokens, which this model has positions for, but is {length}.");
        int longest = options.Lengths.Max();
        if (train.Length > 0 && train.Length < longest)
            throw new ArgumentException($"The text has only {train.Length} tokens; a window of {longest} needs more.");
        (_train, _options) = (train, options);
        _step = new MaskedLanguageStep(model, Math.Max(options.BatchTokens, longest));
        _cls = tokenizer.Vocabulary.IdOf("[CLS]");
        _sep = tokenizer.Vocabulary.IdOf("[SEP]");
        int mask = tokenizer.MaskId ?? throw new ArgumentException("The vocabulary has no mask token.");
        _masking = new TokenMasking(options.MaskRate, mask, model.Config.VocabularySize, Math.Max(Math.Max(_cls, _sep), mask) + 1);
    }

    /// <summary>The stream to measure on along the way; empty for no measure.</summary>
    public int[] Validation { get; init; } = [];

    /// <summary>Batches of so many epochs. Windows begin anywhere, so an epoch is as many tokens as the text has.</summary>
    public long Batches(int epochs) => ((long)_train.Length * epochs + _options.BatchTokens - 1) / _options.BatchTokens;

    public (double Loss, int Tokens) Learn(ulong seed, long step, double progress)
    {
        var random = new RandomStream(seed, (ulong)step << 32);
        int length = _options.LengthAt(step, progress);
        Clear();
        do Add(_train, random.Next(_train.Length - length + 3), length, _masking, ref random);
        while (_batch.Tokens + length <= _options.BatchTokens);
        MaskedLanguageLoss loss = _step.Run(_batch, _places, _targets, learn: true, _options.Weight);
        return (loss.Sum / Math.Max(_targets.Count, 1), _batch.Tokens);
    }

    public Evaluation? Evaluate() => Validation.Length > 0 && Evaluate(Validation, EvaluationSeed, EvaluationWindows) is var found
        ? new Evaluation(found.Loss, "masked_accuracy", found.Accuracy)
        : null;

    /// <summary>Masked accuracy and loss on consecutive windows of a stream, at most <paramref name="windows"/> of them, spread evenly.</summary>
    public MaskedLanguageResult Evaluate(int[] stream, ulong seed, int windows = int.MaxValue)
    {
        int length = Math.Min(_options.Length, stream.Length + 2), body = length - 2;
        int count = Math.Min(windows, Math.Max(stream.Length / body, 1));
        var random = new RandomStream(seed);
        double loss = 0;
        int correct = 0, masked = 0;
        Clear();
        for (int i = 0; i < count; i++)
        {
            Add(stream, (int)((long)i * (stream.Length / body) / count) * body, length, _masking, ref random);
            if (_batch.Tokens + length <= _options.BatchTokens && i + 1 < count) continue;
            MaskedLanguageLoss part = _step.Run(_batch, _places, _targets, learn: false);
            loss += part.Sum;
            correct += part.Correct;
            masked += _targets.Count;
            Clear();
        }
        return new MaskedLanguageResult(loss / Math.Max(masked, 1), (double)correct / Math.Max(masked, 1), masked);
    }

    private void Clear()
    {
        _batch.Clear();
        _places.Clear();
        _targets.Clear();
    }

    /// <summary>[CLS], length − 2 tokens of the stream, [SEP], masked.</summary>
    private void Add(int[] stream, int start, int length, TokenMasking masking, ref RandomStream random)
    {
        if (_window.Length != length) _window = new int[length];
        _window[0] = _cls;
        stream.AsSpan(start, length - 2).CopyTo(_window.AsSpan(1));
        _window[^1] = _sep;
        masking.Apply(_window, _batch.Tokens, ref random, _places, _targets);
        _batch.Add(_window);
    }
}
