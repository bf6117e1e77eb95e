namespace Qkv.Parameters;

public sealed partial record EncoderConfig
{
    // Above every published encoder; the bounds keep the arithmetic of sizes far from overflow, and the table of names small.
    private const int MaxSize = 1 << 20, MaxLayers = 1 << 10;

    private static readonly string[] Activations =
    [
        "gelu", "gelu_new", "gelu_fast", "gelu_python", "gelu_pytorch_tanh", "quick_gelu", "gelu_10", "relu", "relu2", "relu6",
        "sigmoid", "silu", "swish", "tanh", "mish", "linear",
    ];

    private static readonly string[] ProblemTypes = ["regression", "single_label_classification", "multi_label_classification"];

    /// <summary>The fields of BertConfig. Defaults are Hugging Face's; the sizes that shape the model have none here.</summary>
    private static EncoderConfig ReadBert(ConfigFields fields)
    {
        int hidden = fields.Integer("hidden_size", 1, MaxSize);
        int heads = fields.Integer("num_attention_heads", 1, hidden);
        if (hidden % heads != 0)
        {
            throw fields.Bad("num_attention_heads", $"{heads}", $"a divisor of hidden_size, {hidden}");
        }

        foreach (string decoder in (ReadOnlySpan<string>)["is_decoder", "add_cross_attention"])
        {
            if (fields.Flag(decoder, whenMissing: false))
            {
                throw fields.Bad(decoder, "true", "false: an encoder, whose tokens all see each other");
            }
        }

        if (!fields.IsEmpty("pruned_heads"))
        {
            throw fields.Bad("pruned_heads", "not empty", "layers that have all their heads");
        }

        int vocabulary = fields.Integer("vocab_size", 1, MaxSize);
        IReadOnlyList<string>? labels = fields.Numbered("id2label");
        return new EncoderConfig
        {
            ModelType = "bert",
            Architectures = fields.Texts("architectures"),
            VocabularySize = vocabulary,
            HiddenSize = hidden,
            Layers = fields.Integer("num_hidden_layers", 1, MaxLayers),
            Heads = heads,
            IntermediateSize = fields.Integer("intermediate_size", 1, MaxSize),
            Activation = fields.Choice("hidden_act", Activations) ?? "gelu",
            MaxPositions = fields.Integer("max_position_embeddings", 1, MaxSize),
            TypeVocabularySize = fields.Integer("type_vocab_size", 1, MaxSize, whenMissing: 2),
            LayerNormEpsilon = fields.Number("layer_norm_eps", 0, 1, whenMissing: 1e-12),
            PadTokenId = fields.Integer("pad_token_id", 0, vocabulary - 1, whenMissing: 0),
            Labels = labels,
            NumLabels = labels?.Count ?? fields.Integer("num_labels", 1, MaxSize, whenMissing: 2),
            ProblemType = fields.Choice("problem_type", ProblemTypes),
            PositionEmbeddingType = fields.Choice("position_embedding_type", ["absolute"]) ?? "absolute",
            TieWordEmbeddings = fields.Flag("tie_word_embeddings", whenMissing: true),
            HiddenDropout = fields.Number("hidden_dropout_prob", 0, 1, whenMissing: 0.1),
            AttentionDropout = fields.Number("attention_probs_dropout_prob", 0, 1, whenMissing: 0.1),
            ClassifierDropout = fields.Number("classifier_dropout", 0, 1, whenMissing: -1) is >= 0 and var rate ? rate : null,
            TorchDtype = fields.Text("torch_dtype") ?? fields.Text("dtype"),
        };
    }
}
