using System.Buffers;
using Qkv.App.Attention;
using Qkv.App.Output;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;
using Qkv.Text;

namespace Qkv.App;

/// <summary>One call of the command: the common options resolved, and where results and messages go.</summary>
internal sealed record Invocation(Terminal Terminal, string ModelDirectory, int? Threads, Precision Precision, bool Json)
{
    /// <summary>The directory of the bundled model, beside the application.</summary>
    public static string Bundled => Path.Combine(AppContext.BaseDirectory, "models");

    /// <summary>Whether results that are data are printed as JSON: when asked for, and where no person reads them.</summary>
    public bool DataAsJson => Json || !Terminal.IsInteractive;

    public string ModelName => ModelDirectory == Bundled ? "bundled" : Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(ModelDirectory)));

    public TextEncoder LoadEncoder()
    {
        if (Precision != Precision.Float32 && MachineTiles.Refusal is { } refusal) Note($"{refusal}; the kernels written in C# compute instead.");
        return TextEncoder.Load(ModelDirectory, new TextEncoderOptions { Threads = Threads, Precision = Precision });
    }

    /// <summary>Refuses every other precision in the name of a verb that learns, or measures what is learned.</summary>
    public void NeedFloat32(string verb)
    {
        if (Precision != Precision.Float32) throw new UsageException($"{verb} computes in float32 only; leave --precision out.");
    }

    public Tokenizer LoadTokenizer() => Tokenizer.Load(ModelDirectory);

    /// <summary>A message that is no result.</summary>
    public void Note(string sentence)
    {
        Terminal.Text.Flush();
        Terminal.Error.WriteLine($"qkv: {TokenLabels.Clean(sentence)}");
        Terminal.Error.Flush();
    }

    /// <summary>Says how much of a text the model reads, where that is not all of it.</summary>
    public void NoteTruncation(TextEncoder encoder, string text, string? pair = null, bool addSpecialTokens = true)
    {
        Appended appended = Count(encoder, text, pair, addSpecialTokens);
        if (appended.Truncated)
            Note($"only {appended.Tokens:N0} of {appended.Tokens + appended.Dropped:N0} tokens were read, which is all that this model takes; the rest was left out.");
    }

    /// <summary>Says how many texts the model did not read to their end.</summary>
    public void NoteCut(TextEncoder encoder, int texts)
    {
        if (texts > 0) Note($"{texts:N0} {(texts == 1 ? "text was" : "texts were")} longer than the {encoder.MaxTokens:N0} tokens that this model reads, and cut there.");
    }

    /// <summary>How many tokens of a text the model reads.</summary>
    public static Appended Count(TextEncoder encoder, string text, string? pair, bool addSpecialTokens = true)
    {
        var options = new EncodeOptions { MaxLength = encoder.MaxTokens, AddSpecialTokens = addSpecialTokens };
        var ids = new ArrayBufferWriter<int>();
        return pair is null
            ? encoder.Tokenizer.Append(text, ids, options)
            : encoder.Tokenizer.Append(text, pair, ids, new ArrayBufferWriter<int>(), options);
    }
}
