using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Qkv.App.Output;
using Qkv.Encoders;
using Qkv.Kernels;

namespace Qkv.App;

/// <summary>
/// The command from arguments to exit code: 0 done, 1 failed, 2 wrong usage. Whatever goes wrong is one sentence on the error stream.
/// </summary>
internal static class CommandLine
{
    // EPIPE, which Linux and macOS number alike: whoever read the output has closed it, as `head` does.
    private const int BrokenPipe = 32;

    // Texts are data: "@name" is no file of arguments, and "-abc" no bundle of options.
    private static readonly ParserConfiguration s_parser = new() { ResponseFileTokenReplacer = null, EnablePosixBundling = false };

    // A start waits for every line that the runtime compiles, so only the verb that is asked for is made; for help and mistakes all are.
    private static readonly Verb[] s_verbs =
    [
        new("attend", true, AttendCommand.Create),
        new("embed", true, EmbedCommand.Create),
        new("fill-mask", true, FillMaskCommand.Create),
        new("classify", true, ClassifyCommand.Create),
        new("ner", true, NerCommand.Create),
        new("answer", true, AnswerCommand.Create),
        new("tokenize", false, TokenizeCommand.Create),
        new("trace", true, TraceCommand.Create),
        new("doctor", true, DoctorCommand.Create),
        new("convert", false, ConvertCommand.Create),
        new("train", true, TrainCommand.Create),
        new("evaluate", true, EvaluateCommand.Create),
        new("serve", true, ServeCommand.Create),
    ];

    public static int Run(IReadOnlyList<string> arguments, Terminal terminal)
    {
        try
        {
            int code = Invoke(arguments, terminal);
            terminal.Text.Flush();
            return code;
        }
        catch (IOException e) when (e.HResult == BrokenPipe)
        {
            return 0;
        }
        catch (Exception e)
        {
            Unfinished.WaitIfInterrupted();
            return Fail(e, arguments.Contains("--verbose"), terminal);
        }
    }

    private static int Invoke(IReadOnlyList<string> arguments, Terminal terminal)
    {
        // The parser passes over a first word in brackets, as that could be a directive.
        if (arguments is [['[', .., ']'] directive, ..]) throw new UsageException($"there is no command '{directive}'; see 'qkv --help'.");
        Verb? verb = Array.Find(s_verbs, known => known.Name == arguments.FirstOrDefault());
        // A single processor would only come to help and mistakes later.
        if (verb is { Encodes: true } && Environment.ProcessorCount > 1) _ = Task.Run(() => Encoder.Compile(Precision.Float32));
        ParseResult result = Create(verb, terminal).Parse(arguments, s_parser);
        if (SwitchWithValue(result, arguments) is { } assigned) throw new UsageException($"'{assigned}': the option takes no value; give it or leave it out.");
        if (result.Action is ParseErrorAction || result.Errors.Count > 0) throw new UsageException(Explain(result));
        if (UnknownOption(result, arguments) is { } unknown)
            throw new UsageException($"there is no option '{unknown}' (put -- before texts that start with a dash); see '{Name(result)} --help'.");
        return result.Invoke(new InvocationConfiguration
        {
            Output = terminal.Text,
            Error = terminal.Error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        });
    }

    private static RootCommand Create(Verb? verb, Terminal terminal)
    {
        var common = new CommonOptions(terminal);
        var root = new RootCommand("Opens an encoder of the BERT family: every query, key, value, score and attention weight, and what they are good for.")
        {
            common.Model,
            common.Threads,
            common.Precision,
            common.Json,
            common.Verbose,
        };
        foreach (Verb one in s_verbs)
            if (verb == null || one == verb) root.Add(one.Create(common));
        root.Directives.Clear();
        // "/?" is a text.
        ICollection<string> help = root.Options.OfType<HelpOption>().Single().Aliases;
        foreach (string alias in (string[])["/?", "/h"]) help.Remove(alias);
        return root;
    }

    /// <summary>The command and those that it is in.</summary>
    private static string Name(ParseResult result) => string.Join(' ', Commands(result).Reverse().Skip(1).Select(command => command.Name).Prepend("qkv"));

    /// <summary>From the innermost command to the root.</summary>
    private static IEnumerable<Command> Commands(ParseResult result)
    {
        for (SymbolResult? at = result.CommandResult; at is CommandResult command; at = at.Parent) yield return command.Command;
    }

    private static string Explain(ParseResult result)
    {
        Command command = result.CommandResult.Command;
        string problem = command.Subcommands.Count > 0
            ? result.UnmatchedTokens.Count > 0
                ? $"there is no command '{$"{Name(result)} {result.UnmatchedTokens[0]}"["qkv ".Length..]}'"
                : $"name a command: {string.Join(", ", command.Subcommands.Select(one => one.Name))}"
            : result.Errors[0].Message.TrimEnd('.');
        return $"{problem}; see '{Name(result)} --help'.";
    }

    /// <summary>A switch is given or not: what stands behind it would be read as a text.</summary>
    private static string? SwitchWithValue(ParseResult result, IReadOnlyList<string> arguments)
    {
        foreach (string argument in arguments)
        {
            if (argument == "--") break;
            if (argument.AsSpan().IndexOfAny('=', ':') is > 0 and var end && Commands(result).Any(command => command.Options.Any(option => IsSwitch(option, argument[..end])))) return argument;
        }
        return null;
    }

    private static bool IsSwitch(Option option, string name) => option.Arity.MaximumNumberOfValues == 0 && (option.Name == name || option.Aliases.Contains(name));

    /// <summary>A text that looks like an option is a misspelt option, unless it stands behind "--".</summary>
    private static string? UnknownOption(ParseResult result, IReadOnlyList<string> arguments)
    {
        foreach (string argument in arguments)
        {
            if (argument == "--") break;
            bool looks = (argument is ['-', '-', var first, ..] && char.IsAsciiLetter(first)) || (argument is ['-', var only] && char.IsAsciiLetter(only));
            if (looks && result.CommandResult.Command.Arguments.Any(one => result.GetResult(one)?.Tokens.Any(token => token.Value == argument) == true)) return argument;
        }
        return null;
    }

    private static int Fail(Exception e, bool verbose, Terminal terminal)
    {
        try
        {
            terminal.Text.Flush();
        }
        catch (IOException)
        {
            // Results that nobody can read do not hide what went wrong.
        }
        terminal.Error.WriteLine($"qkv: {Sentence(e)}");
        if (verbose) terminal.Error.WriteLine(e);
        terminal.Error.Flush();
        return e is UsageException ? 2 : 1;
    }

    /// <summary>The message on one line, without the parameter name that .NET appends, with a full stop.</summary>
    private static string Sentence(Exception e)
    {
        // A mistake in an environment variable comes up where its value is first needed, inside of a type's initializer.
        while (e is TypeInitializationException { InnerException: { } inner }) e = inner;
        string message = e is OutOfMemoryException ? "There is not enough memory for this input; make it shorter." : Unfinished.ByFinalNames(e.Message);
        if (e is ArgumentException { ParamName: { Length: > 0 } parameter })
            message = message.Replace($" (Parameter '{parameter}')", "", StringComparison.Ordinal);
        message = string.Join(' ', message.Split(['\r', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
        message = string.Concat(message.Where(c => !char.IsControl(c)));
        return message.Length > 0 && message[^1] is '.' or '!' or '?' ? message : message + ".";
    }

    /// <summary>A verb, whose command is made when it is asked for.</summary>
    private sealed class Verb(string name, bool encodes, Func<CommonOptions, Command> create)
    {
        public string Name { get; } = name;

        /// <summary>Whether texts go through an encoder, whose kernels can be compiled while arguments are read.</summary>
        public bool Encodes { get; } = encodes;

        public Command Create(CommonOptions common) => create(common);
    }
}
