using System.Text;
using System.Text.Json;
using Qkv.App;
using Qkv.App.Output;
using Qkv.Parameters;

namespace Qkv.Tests.App;

/// <summary>What a call of the command did.</summary>
internal sealed record Ran(int Code, string Output, string Error)
{
    public string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public JsonElement Json => JsonDocument.Parse(Output).RootElement;

    public IEnumerable<JsonElement> JsonLines => Lines.Select(line => JsonDocument.Parse(line).RootElement);
}

/// <summary>Calls the command in this process.</summary>
internal static class Command
{
    public static string Bundled => Path.Combine(AppContext.BaseDirectory, "models");

    public static string Golden(string folder) => Path.Combine(AppContext.BaseDirectory, "Golden", folder);

    public static Ran Run(params string[] arguments) => Run([], arguments);

    public static Ran Run(byte[] input, params string[] arguments) => RunOn(input, arguments, isInteractive: false, hasColour: false);

    public static Ran RunOn(byte[] input, string[] arguments, bool isInteractive, bool hasColour, int width = 100)
    {
        using var output = new MemoryStream();
        using var error = new MemoryStream();
        var terminal = new Terminal(output, error, new MemoryStream(input)) { IsInteractive = isInteractive, HasColour = hasColour, Width = width };
        int code = CommandLine.Run(arguments, terminal);
        terminal.Text.Flush();
        terminal.Error.Flush();
        return new Ran(code, Encoding.UTF8.GetString(output.ToArray()), Encoding.UTF8.GetString(error.ToArray()));
    }

    public static Ran Succeeds(params string[] arguments)
    {
        Ran ran = Run(arguments);
        Assert.True(ran.Code == 0, ran.Error);
        return ran;
    }

    /// <summary>The command fails with this code, says one sentence that contains <paramref name="words"/>, and prints no result.</summary>
    public static void Fails(int code, string words, params string[] arguments)
    {
        Ran ran = Run(arguments);
        Assert.Equal("", ran.Output);
        IsOneSentence(words, ran.Error);
        Assert.Equal(code, ran.Code);
    }

    public static void IsOneSentence(string words, string error)
    {
        Assert.StartsWith("qkv: ", error);
        Assert.EndsWith(".\n", error);
        Assert.Single(error, c => c == '\n');
        Assert.DoesNotContain("(Parameter", error);
        Assert.Contains(words, error);
    }

    /// <summary>Changes the numbers of the tensors whose name ends so, which it is told with the length of their rows.</summary>
    public static void Damage(TemporaryDirectory model, string name, Action<float[], int> change)
    {
        List<SafetensorsTensor> tensors = [];
        using (ParameterFile file = ParameterFile.OpenDirectory(model.Path))
        {
            foreach (ParameterInfo parameter in file.Parameters.Values.Where(parameter => parameter.Type.IsFloat()))
            {
                var numbers = new float[parameter.Count];
                file.Read(parameter.Name, 0, numbers);
                if (parameter.Name.EndsWith(name, StringComparison.Ordinal)) change(numbers, (int)parameter.Shape[^1]);
                tensors.Add(SafetensorsTensor.Of(parameter.Name, parameter.Shape, numbers));
            }
        }
        SafetensorsWriter.Write(model.File("model.safetensors"), tensors);
    }

    /// <summary>A golden model that has a task head, with a vocabulary, so that it reads text.</summary>
    public static TemporaryDirectory WithVocabulary(string golden)
    {
        var directory = new TemporaryDirectory();
        foreach (string name in (string[])["config.json", "model.safetensors"])
            File.Copy(Path.Combine(Golden(golden), name), directory.File(name));
        directory.Write("vocab.txt", string.Join('\n', (string[])["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "我", "想", "吃", "酸", "菜", "鱼", "a", "b", "##b", "who", "?"]));
        return directory;
    }
}
