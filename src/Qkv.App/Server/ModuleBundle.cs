using System.Text;
using System.Text.RegularExpressions;

namespace Qkv.App.Server;

/// <summary>
/// The modules of the page as one classic script, for a page without a server: a browser loads no modules from a file. It can be this
/// simple because imports are flat (<c>import { x } from './y.js'</c>, none renamed) and top-level names are unique over all modules.
/// </summary>
internal static partial class ModuleBundle
{
    /// <param name="modules">Path (as <c>/main.js</c>) → source.</param>
    /// <param name="entry">The path to begin with.</param>
    /// <exception cref="InvalidOperationException">A module is written in a way that cannot be joined; names it.</exception>
    public static string Join(IReadOnlyDictionary<string, string> modules, string entry)
    {
        var script = new StringBuilder("(() => {\n'use strict';\n");
        var names = new Dictionary<string, string>();
        Add(entry, modules, [], names, script);
        return script.Append("})();\n").ToString();
    }

    /// <summary>What a module imports comes before it.</summary>
    private static void Add(string path, IReadOnlyDictionary<string, string> modules, HashSet<string> done, Dictionary<string, string> names, StringBuilder script)
    {
        if (!done.Add(path)) return;
        string source = (modules.TryGetValue(path, out string? text) ? text : throw new InvalidOperationException($"There is no module {path}.")).Replace("\r", "", StringComparison.Ordinal);
        foreach (Match import in Import().Matches(source))
        {
            if (import.Groups["names"].Value.Contains(" as ", StringComparison.Ordinal)) throw new InvalidOperationException($"{path} renames what it imports: {import.Value}");
            Add(new Uri(new Uri("file://" + path), import.Groups["path"].Value).AbsolutePath, modules, done, names, script);
        }
        source = ExportList().Replace(Export().Replace(Import().Replace(source, ""), ""), "");
        if (Left().Match(source) is { Success: true } left) throw new InvalidOperationException($"{path} cannot be joined with the others: {left.Value.Trim()}");
        foreach (Match declaration in Declaration().Matches(source))
        {
            string name = declaration.Groups["name"].Value;
            if (!names.TryAdd(name, path)) throw new InvalidOperationException($"{path} declares {name}, and {names[name]} does too.");
        }
        source = source.Trim();
        if (source.Length == 0) return;
        // A closing tag in a string would end the script.
        script.Append(source.Replace("</script", "<\\/script", StringComparison.OrdinalIgnoreCase).Replace("<!--", "<\\!--", StringComparison.Ordinal)).Append('\n');
    }

    [GeneratedRegex("""^import\s*(?:\{(?<names>[^}]*)\}\s*from\s*)?['"](?<path>\.{1,2}/[^'"]+)['"][ \t]*;?[ \t]*$""", RegexOptions.Multiline)]
    private static partial Regex Import();

    [GeneratedRegex(@"^export\s+(?=(?:async\s+)?(?:function|const|let|class)\b)", RegexOptions.Multiline)]
    private static partial Regex Export();

    [GeneratedRegex(@"^export\s*\{(?![^}]*\sas\s)[^}]*\}[ \t]*;?[ \t]*$", RegexOptions.Multiline)]
    private static partial Regex ExportList();

    [GeneratedRegex(@"^(?:import|export|await)\b[^\n]*", RegexOptions.Multiline)]
    private static partial Regex Left();

    [GeneratedRegex(@"^(?:async\s+)?(?:function\s*\*?|const|let|var|class)\s+(?<name>[\w$]+)", RegexOptions.Multiline)]
    private static partial Regex Declaration();
}
