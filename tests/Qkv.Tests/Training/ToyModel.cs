using System.Numerics;
using Qkv.Encoders;
using Qkv.Parameters;
using Qkv.Tests.Kernels;
using Qkv.Tests.Reference;
using Qkv.Text;
using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>What a toy model answers.</summary>
public enum ToyHead
{
    MaskedLanguage,
    Sequence,
    Token,
}

/// <summary>A trainable model of random parameters and any shape, with batches and losses for our step and for the twin.</summary>
internal sealed class ToyModel : IDisposable
{
    private const int Labels = 3, Positions = 300;
    private const float Smoothing = 0.1f;

    private readonly TemporaryDirectory _directory = new();
    private readonly ToyHead _head;
    private readonly Random _random;
    private readonly List<int> _places = [], _targets = [];
    private float[] _labels = [];

    public ToyModel(ToyHead head, int layers, int heads, int headSize, int intermediate, int vocabulary, string activation, int seed, int threads = 2)
    {
        _head = head;
        _random = new Random(seed);
        string architecture = head switch { ToyHead.MaskedLanguage => "BertForMaskedLM", ToyHead.Sequence => "BertForSequenceClassification", _ => "BertForTokenClassification" };
        _directory.Write("config.json", $$"""
            {"model_type": "bert", "architectures": ["{{architecture}}"], "hidden_size": {{heads * headSize}}, "num_attention_heads": {{heads}}, "num_hidden_layers": {{layers}},
             "intermediate_size": {{intermediate}}, "vocab_size": {{vocabulary}}, "max_position_embeddings": {{Positions}}, "type_vocab_size": 2, "hidden_act": "{{activation}}", "num_labels": {{Labels}},
             "layer_norm_eps": 1e-5}
            """);
        ParameterNames names = ParameterNames.For(EncoderConfig.Load(_directory.Path));
        SafetensorsWriter.Write(_directory.File("model.safetensors"), names.Encoder.Concat(names.Heads.Where(parameter => head switch
        {
            ToyHead.MaskedLanguage => parameter.Name.StartsWith("cls.predictions.", StringComparison.Ordinal) && parameter.Name != "cls.predictions.decoder.weight",
            ToyHead.Sequence => parameter.Name.StartsWith("pooler.", StringComparison.Ordinal) || parameter.Name.StartsWith("classifier.", StringComparison.Ordinal),
            _ => parameter.Name.StartsWith("classifier.", StringComparison.Ordinal),
        })).Select(parameter => SafetensorsTensor.Of(parameter.Name, parameter.Shape, RandomNumbers.Normal(_random, (int)parameter.Shape.Aggregate((a, b) => a * b), 0.5))));
        Model = new TrainableModel(_directory.Path, threads);
    }

    public TrainableModel Model { get; }

    /// <summary>Random sequences, some tokens of them padding and some hidden, with something to learn at some places.</summary>
    public TokenBatch Batch(int[] lengths)
    {
        var batch = new TokenBatch();
        _places.Clear();
        _targets.Clear();
        foreach (int length in lengths)
        {
            int[] ids = [.. Enumerable.Range(0, length).Select(_ => _random.Next(Model.Config.VocabularySize))], types = [.. ids.Select(_ => _random.Next(2))];
            int[] mask = [.. ids.Select((_, i) => i + 1 < length && _random.Next(6) == 0 ? 0 : 1)];
            for (int i = 0; i < length; i++)
            {
                bool wanted = _random.Next(2) == 0 || batch.Tokens + i == 0;
                if (_head == ToyHead.Token) _targets.Add(wanted ? _random.Next(Labels) : -1);
                if (_head != ToyHead.MaskedLanguage || !wanted) continue;
                _places.Add(batch.Tokens + i);
                _targets.Add(_random.Next(Model.Config.VocabularySize));
            }
            batch.Add(ids, types, attentionMask: mask);
        }
        _labels = [.. lengths.Select(_ => (float)_random.Next(Labels))];
        return batch;
    }

    /// <summary>Our loss; the gradients are in the parameters.</summary>
    public double Learn(TokenBatch batch) => _head switch
    {
        ToyHead.MaskedLanguage => new MaskedLanguageStep(Model, batch.Tokens).Run(batch, _places, _targets, learn: true).Sum / _places.Count,
        ToyHead.Sequence => new SequenceStep(Model, batch.Tokens).Run(batch, SequenceLossKind.SingleLabel, _labels, Smoothing),
        _ => new TokenStep(Model, batch.Tokens).Run(batch, _targets.ToArray(), Smoothing),
    };

    /// <summary>The twin's loss of the last batch.</summary>
    public Node<T> Loss<T>(ModelTwin<T> twin, Tape<T> tape, TokenBatch batch, DropoutPlan plan) where T : struct, IFloatingPointIeee754<T>
    {
        Node<T> hidden = twin.Encode(tape, batch, plan);
        return _head switch
        {
            ToyHead.MaskedLanguage => twin.MaskedLanguageLoss(tape, hidden, [.. _places], [.. _targets]),
            ToyHead.Sequence => twin.SequenceLoss(tape, hidden, batch, SequenceLossKind.SingleLabel, _labels, Smoothing, plan),
            _ => twin.TokenLoss(tape, hidden, [.. _targets], Smoothing, plan),
        };
    }

    public void Dispose() => _directory.Dispose();
}
