using Qkv.Encoders;
using Qkv.Kernels;
using Qkv.Parameters;
using Qkv.Text;

namespace Qkv;

/// <summary>
/// Everything that an encoder computed for a batch, from the ids to the logits, under the names of the trace: for each layer
/// queries, keys and values, scores, weights, context and what follows. Sequences are padded to the longest; padding rows and
/// columns are 0 in every tensor. Computed by <see cref="AttentionReference"/>.
/// </summary>
public sealed unsafe class AttentionTrace
{
    private readonly Dictionary<string, TraceTensor> _tensors = [];
    private readonly Model _model;
    private readonly TokenBatch _batch;
    private readonly Activations _activations;

    /// <param name="model">The model.</param>
    /// <param name="batch">What it read; copied, so it may be filled again.</param>
    /// <param name="length">L, or 0 for the longest sequence.</param>
    /// <param name="choices">N where every N sequences are the choices of one question, else 1.</param>
    /// <param name="changes">What an experiment changes; null for nothing.</param>
    /// <param name="memory">The memory of a trace that nobody reads any more, or null.</param>
    /// <param name="cancellation">Ends the work between two layers.</param>
    internal AttentionTrace(Model model, TokenBatch batch, int length = 0, int choices = 1, Changes? changes = null, AlignedBuffer? memory = null, CancellationToken cancellation = default)
    {
        (_model, _batch) = (model, batch = batch.Copy());
        for (int sequence = 0; sequence < batch.Sequences; sequence++) Length = Math.Max(Length, batch.Length(sequence));
        if (length != 0 && length < Length) throw new ArgumentException($"A sequence of {Length:N0} tokens does not fit into a trace of {length:N0}.", nameof(length));
        if (length != 0) Length = length;
        _activations = model.Encoder.Record(batch, changes, memory, cancellation);
        AddInputs();
        AddEmbeddings();
        for (int layer = 0; layer < Layers; layer++) AddLayer(layer);
        AddHeads(choices);
    }

    /// <summary>What the trace is kept in, for the next one.</summary>
    internal AlignedBuffer Memory => _activations.Memory;

    /// <summary>B, the number of sequences.</summary>
    public int Sequences => _batch.Sequences;

    /// <summary>L, the length that all sequences are padded to.</summary>
    public int Length { get; }

    /// <summary>The number of layers.</summary>
    public int Layers => _model.Config.Layers;

    /// <summary>H, the number of attention heads of a layer.</summary>
    public int Heads => _model.Config.Heads;

    /// <summary>D, the number of features of a head.</summary>
    public int HeadSize => _model.Config.HeadSize;

    /// <summary>All tensors in the order of the computation.</summary>
    public IReadOnlyCollection<TraceTensor> Tensors => _tensors.Values;

    /// <summary>The tensor of that name, as <c>layers.0.weights</c>.</summary>
    /// <exception cref="KeyNotFoundException">There is none; the message lists the names.</exception>
    public TraceTensor this[string name] => _tensors.TryGetValue(name, out TraceTensor? tensor)
        ? tensor
        : throw new KeyNotFoundException($"The trace has no tensor '{name}'; it has {string.Join(", ", _tensors.Keys)}.");

    /// <summary>Whether the trace has a tensor of that name; which task heads there are depends on the model.</summary>
    public bool Contains(string name) => _tensors.ContainsKey(name);

    /// <summary>Tokens of a sequence.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence.</exception>
    public int LengthOf(int sequence) => _batch.Length(sequence);

    /// <summary>Ids of a sequence.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence.</exception>
    public ReadOnlySpan<int> IdsOf(int sequence) => _batch.IdsOf(sequence);

    /// <summary>(T, C): what the last layer gives.</summary>
    internal ReadOnlySpan<float> HiddenRows => new(HiddenStates, _batch.Tokens * _model.Config.HiddenSize);

    /// <summary>Hands the last hidden states to a pooling.</summary>
    internal void Pool(PoolingReceiver receiver)
    {
        receiver.Receive(_batch.Slice(0, Sequences), HiddenStates);
        GC.KeepAlive(this);
    }

    private float* HiddenStates => Layers == 0 ? _activations.Embeddings : _activations.Layers[Layers - 1].Output;

    /// <summary>The attention weights (L, L) of one sequence, layer and head, without padding; row i is how much token i looks at each token.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence, layer or head.</exception>
    public ReadOnlySpan<float> WeightsOf(int sequence, int layer, int head)
    {
        CheckIndex(nameof(sequence), sequence, Sequences);
        CheckIndex(nameof(layer), layer, Layers);
        CheckIndex(nameof(head), head, Heads);
        int length = _batch.Length(sequence);
        return new ReadOnlySpan<float>(_activations.Layers[layer].Weights + _activations.ScoreStarts[sequence] + (nint)head * length * length, length * length);
    }

    /// <summary>Writes tensors as a safetensors file: all, or those that match one of <paramref name="only"/> (<c>*</c> matches anything).</summary>
    /// <exception cref="ArgumentException">A pattern matches no tensor.</exception>
    public void Save(string path, params IReadOnlyList<string> only)
    {
        foreach (string pattern in only)
            if (!_tensors.Keys.Any(name => System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false)))
                throw new ArgumentException($"No tensor of the trace matches '{pattern}'; there are {string.Join(", ", _tensors.Keys)}.", nameof(only));
        IEnumerable<TraceTensor> chosen = only.Count == 0 ? Tensors
            : Tensors.Where(tensor => only.Any(pattern => System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(pattern, tensor.Name, ignoreCase: false)));
        SafetensorsWriter.Write(path, chosen.Select(tensor => tensor.ToSafetensors()));
    }

    private void AddInputs()
    {
        AddIntegers("input_ids", [Sequences, Length], (sequence, token) => _batch.Ids[_batch.Starts[sequence] + token]);
        AddIntegers("attention_mask", [Sequences, Length], (sequence, token) => _batch.IsHidden(_batch.Starts[sequence] + token) ? 0 : 1);
        var lengths = new long[Sequences];
        for (int sequence = 0; sequence < Sequences; sequence++) lengths[sequence] = _batch.Length(sequence);
        Add(new TraceTensor("sequence_lengths", [Sequences], (Span<long> result) => lengths.CopyTo(result)));
    }

    private void AddIntegers(string name, long[] shape, Func<int, int, long> value) => Add(new TraceTensor(name, shape, (Span<long> padded) =>
    {
        for (int sequence = 0; sequence < Sequences; sequence++)
            for (int token = 0; token < _batch.Length(sequence); token++)
                padded[sequence * Length + token] = value(sequence, token);
    }));

    private void AddEmbeddings()
    {
        TokenEmbedding embedding = _model.Encoder.Embedding;
        AddLookup("embeddings.word", embedding.Words, token => _batch.Ids[token]);
        if (_activations.Changes is { WithoutPositions: true })
            Add(new TraceTensor("embeddings.position", [Sequences, Length, embedding.Positions.Columns], (Span<float> _) => { }));
        else
            AddLookup("embeddings.position", embedding.Positions, token => _batch.Positions[token]);
        AddLookup("embeddings.segment", embedding.Segments, token => _batch.TypeIds[token]);
        int c = _model.Config.HiddenSize;
        AddRows("embeddings.sum", _activations.EmbeddingSum, c, c);
        AddRows("embeddings", _activations.Embeddings, c, c);
    }

    private void AddLookup(string name, EmbeddingTable table, Func<int, int> row) => Add(new TraceTensor(name, [Sequences, Length, table.Columns], (Span<float> padded) =>
    {
        fixed (float* destination = padded)
            for (int sequence = 0; sequence < Sequences; sequence++)
                for (int token = 0; token < _batch.Length(sequence); token++)
                    table.View().Read(row(_batch.Starts[sequence] + token), 0, table.Columns, destination + ((nint)sequence * Length + token) * table.Columns);
    }));

    private void AddLayer(int layer)
    {
        LayerActivations a = _activations.Layers[layer];
        int c = _model.Config.HiddenSize;
        string prefix = $"layers.{layer}.";
        AddHeadRows(prefix + "queries", a.QueriesKeysValues, 3 * c);
        AddHeadRows(prefix + "keys", a.QueriesKeysValues + c, 3 * c);
        AddHeadRows(prefix + "values", a.QueriesKeysValues + 2 * c, 3 * c);
        AddSquares(prefix + "scores", a.Scores);
        AddSquares(prefix + "weights", a.Weights);
        AddRows(prefix + "context", a.Context, c, c);
        AddRows(prefix + "attention_projection", a.AttentionProjection, c, c);
        AddRows(prefix + "attention_sum", a.AttentionSum, c, c);
        AddRows(prefix + "attention_output", a.AttentionOutput, c, c);
        AddRows(prefix + "intermediate", a.Intermediate, _model.Config.IntermediateSize, _model.Config.IntermediateSize);
        AddRows(prefix + "feed_forward", a.FeedForward, c, c);
        AddRows(prefix + "output", a.Output, c, c);
    }

    /// <summary>Task heads answer when they are asked for: logits of every token are as many numbers as all the rest.</summary>
    private void AddHeads(int choices)
    {
        int c = _model.Config.HiddenSize;
        int threads = _model.Encoder.Threads;
        TaskHeads heads = _model.Heads;
        AddRows("last_hidden_state", HiddenStates, c, c);

        var pooled = new Lazy<float[]>(() => heads.Pool(FirstTokens(), threads));
        if (heads.Pooler != null) AddWhole("pooler_output", [Sequences, c], () => pooled.Value);
        if (heads.MaskedLanguage != null)
            AddTokenRows("prediction_logits", _model.Config.VocabularySize, () => heads.MaskedLanguage.Apply(HiddenRows, threads));
        if (heads.NextSentence != null && heads.Pooler != null)
            AddWhole("seq_relationship_logits", [Sequences, 2], () => TaskHeads.Apply(heads.NextSentence, pooled.Value, threads));
        if (heads.Classifier != null && heads.ClassifierKind == ClassifierKind.Token)
            AddTokenRows("logits", heads.Classifier.Outputs, () => TaskHeads.Apply(heads.Classifier, HiddenRows, threads));
        else if (heads.Classifier != null && heads.ClassifierKind != ClassifierKind.Unknown && heads.Pooler != null)
            AddWhole("logits", heads.ClassifierKind == ClassifierKind.MultipleChoice ? [Sequences / choices, choices] : [Sequences, heads.Classifier.Outputs],
                () => TaskHeads.Apply(heads.Classifier, pooled.Value, threads));
        if (heads.Span != null)
        {
            var spans = new Lazy<float[]>(() => TaskHeads.Apply(heads.Span, HiddenRows, threads));
            AddTokenColumn("start_logits", spans, 0);
            AddTokenColumn("end_logits", spans, 1);
        }
    }

    /// <summary>(B, C): the hidden state of each sequence's first token.</summary>
    private float[] FirstTokens()
    {
        int c = _model.Config.HiddenSize;
        var first = new float[Sequences * c];
        for (int sequence = 0; sequence < Sequences; sequence++)
            if (_batch.Length(sequence) > 0) HiddenRows.Slice(_batch.Starts[sequence] * c, c).CopyTo(first.AsSpan(sequence * c));
        return first;
    }

    /// <summary>(T, columns) → (B, L, columns)</summary>
    private void AddRows(string name, float* rows, int columns, int stride) => Add(new TraceTensor(name, [Sequences, Length, columns], (Span<float> padded) =>
    {
        for (int sequence = 0; sequence < Sequences; sequence++)
            for (int token = 0; token < _batch.Length(sequence); token++)
                new ReadOnlySpan<float>(rows + (nint)(_batch.Starts[sequence] + token) * stride, columns).CopyTo(padded.Slice((sequence * Length + token) * columns));
    }));

    /// <summary>(T, H·D) → (B, H, L, D)</summary>
    private void AddHeadRows(string name, float* rows, int stride) => Add(new TraceTensor(name, [Sequences, Heads, Length, HeadSize], (Span<float> padded) =>
    {
        for (int sequence = 0; sequence < Sequences; sequence++)
            for (int head = 0; head < Heads; head++)
                for (int token = 0; token < _batch.Length(sequence); token++)
                    new ReadOnlySpan<float>(rows + (nint)(_batch.Starts[sequence] + token) * stride + head * HeadSize, HeadSize)
                        .CopyTo(padded.Slice(((sequence * Heads + head) * Length + token) * HeadSize));
    }));

    /// <summary>Per sequence (H, l, l) → (B, H, L, L)</summary>
    private void AddSquares(string name, float* squares) => Add(new TraceTensor(name, [Sequences, Heads, Length, Length], (Span<float> padded) =>
    {
        for (int sequence = 0; sequence < Sequences; sequence++)
        {
            int length = _batch.Length(sequence);
            float* rows = squares + _activations.ScoreStarts[sequence];
            for (int row = 0; row < Heads * length; row++)
                new ReadOnlySpan<float>(rows + (nint)row * length, length)
                    .CopyTo(padded.Slice(((sequence * Heads + row / length) * Length + row % length) * Length));
        }
    }));

    private void AddTokenRows(string name, int columns, Func<float[]> compute) => Add(new TraceTensor(name, [Sequences, Length, columns], (Span<float> padded) =>
    {
        float[] rows = compute();
        for (int sequence = 0; sequence < Sequences; sequence++)
            rows.AsSpan(_batch.Starts[sequence] * columns, _batch.Length(sequence) * columns).CopyTo(padded.Slice(sequence * Length * columns));
    }));

    private void AddTokenColumn(string name, Lazy<float[]> rows, int column) => Add(new TraceTensor(name, [Sequences, Length], (Span<float> padded) =>
    {
        for (int sequence = 0; sequence < Sequences; sequence++)
            for (int token = 0; token < _batch.Length(sequence); token++)
                padded[sequence * Length + token] = rows.Value[2 * (_batch.Starts[sequence] + token) + column];
    }));

    private void AddWhole(string name, long[] shape, Func<float[]> compute) => Add(new TraceTensor(name, shape, (Span<float> result) => compute().CopyTo(result)));

    private void Add(TraceTensor tensor) => _tensors.Add(tensor.Name, tensor);

    private static void CheckIndex(string name, int index, int count)
    {
        if ((uint)index >= (uint)count) throw new ArgumentOutOfRangeException(name, $"There is no {name} {index}; this trace has 0 … {count - 1}.");
    }
}

/// <summary>One tensor of a trace, laid out when it is read.</summary>
public sealed class TraceTensor
{
    private readonly Action<Span<float>>? _floats;
    private readonly Action<Span<long>>? _integers;

    // What is given fills memory that is zero.
    internal TraceTensor(string name, long[] shape, Action<Span<float>> fill) => (Name, Shape, _floats) = (name, shape, fill);

    internal TraceTensor(string name, long[] shape, Action<Span<long>> fill) => (Name, Shape, _integers) = (name, shape, fill);

    /// <summary>Its name in the trace.</summary>
    public string Name { get; }

    /// <summary>Its sizes, outermost first.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>How many elements it has.</summary>
    internal long Count => Shape.Aggregate(1L, (count, size) => count * size);

    /// <summary>The elements, row by row.</summary>
    /// <exception cref="InvalidOperationException">The tensor holds integers.</exception>
    public float[] ToFloats()
    {
        Action<Span<float>> fill = _floats ?? throw new InvalidOperationException($"'{Name}' holds integers.");
        var numbers = new float[Count];
        fill(numbers);
        return numbers;
    }

    /// <summary>The elements, row by row.</summary>
    /// <exception cref="InvalidOperationException">The tensor holds floating-point numbers.</exception>
    public long[] ToIntegers()
    {
        Action<Span<long>> fill = _integers ?? throw new InvalidOperationException($"'{Name}' holds floating-point numbers.");
        var numbers = new long[Count];
        fill(numbers);
        return numbers;
    }

    internal bool HoldsFloats => _floats != null;

    /// <summary>As <see cref="ToFloats"/>, into memory of the caller.</summary>
    internal void CopyTo(Span<float> numbers)
    {
        numbers.Clear();
        _floats!(numbers);
    }

    // Laid out when it is written: of a long trace only one tensor is in memory twice.
    internal SafetensorsTensor ToSafetensors() => _integers == null
        ? new SafetensorsTensor(Name, ElementType.F32, Shape, stream => SafetensorsTensor.WriteElements<float>(stream, ToFloats()))
        : new SafetensorsTensor(Name, ElementType.I64, Shape, stream => SafetensorsTensor.WriteElements<long>(stream, ToIntegers()));
}
