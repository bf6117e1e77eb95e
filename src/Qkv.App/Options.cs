using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Qkv.App;

/// <summary>Options whose errors are one sentence that names the option, what it takes and what it got.</summary>
internal static class Options
{
    public static Option<bool> Flag(string name, string description, bool recursive = false) =>
        new(name) { Description = description, Arity = ArgumentArity.Zero, Recursive = recursive };

    public static Option<string?> Text(string name, string shown, string description, bool recursive = false) =>
        new(name) { Description = description, HelpName = shown, Recursive = recursive };

    /// <summary>A whole number of at least <paramref name="least"/>.</summary>
    public static Option<int?> Number(string name, int least, string description, bool recursive = false) => new(name)
    {
        Description = description,
        HelpName = "N",
        Recursive = recursive,
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) && number >= least) return number;
            result.AddError(text.Length > 9 && text.All(char.IsAsciiDigit)
                ? string.Create(CultureInfo.InvariantCulture, $"{name} must be a whole number from {least} to {int.MaxValue}, but is '{text}'")
                : $"{name} must be a whole number of at least {least}, but is '{text}'");
            return null;
        },
    };

    /// <summary>A number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public static Option<double?> Real(string name, double least, double most, string description) => new(name)
    {
        Description = description,
        HelpName = "X",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && number >= least && number <= most) return number;
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} must be a number from {least} to {most}, but is '{text}'"));
            return null;
        },
    };

    /// <summary>One of several words, or null where the option is not given.</summary>
    public static Option<string?> Choice(string name, string[] words, string description, bool recursive = false) => new(name)
    {
        Description = description,
        HelpName = string.Join('|', words),
        Recursive = recursive,
        CustomParser = result => OneOf(result, name, words),
    };

    public static Argument<string[]> Texts(string description, bool required = true) =>
        new("TEXT")
        {
            Description = description,
            Arity = required ? ArgumentArity.OneOrMore : ArgumentArity.ZeroOrMore,
            CustomParser = result => [.. result.Tokens.Select(token => token.Value)],
        };

    private static string? OneOf(ArgumentResult result, string name, string[] words)
    {
        string text = result.Tokens[0].Value;
        if (words.Contains(text)) return text;
        result.AddError($"{name} must be {string.Join(", ", words[..^1])} or {words[^1]}, but is '{text}'");
        return null;
    }
}
