namespace Qkv.App.Training;

/// <summary>What a label is of.</summary>
internal enum TaskKind
{
    /// <summary>Of a whole text: <c>classify</c>.</summary>
    Texts,

    /// <summary>Of each token: <c>ner</c>.</summary>
    Tokens,
}
