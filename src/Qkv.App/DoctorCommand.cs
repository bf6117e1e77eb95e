using System.CommandLine;
using Qkv.App.Doctor;
using Qkv.App.Output;

namespace Qkv.App;

/// <summary><c>qkv doctor</c>: everything that was resolved about a model and this machine, and a self-check.</summary>
internal static class DoctorCommand
{
    public static Command Create(CommonOptions common)
    {
        var command = new Command("doctor", "Says what was made of a model directory and this machine, and checks that the engine agrees with itself.");
        common.Run(command, (invocation, _) => Run(invocation));
        return command;
    }

    private static int Run(Invocation invocation)
    {
        TextEncoder encoder = invocation.LoadEncoder();
        SelfCheck check = SelfCheck.Of(encoder);
        IReadOnlyList<Fact> facts = Facts.Of(invocation.ModelName, encoder, check);
        if (invocation.Json) JsonLineWriter.Write(invocation.Terminal, facts, Facts.Write);
        else Facts.Show(facts, check).WriteTo(invocation.Terminal);
        return check.Passed ? 0 : throw new InvalidOperationException(check.Problem);
    }
}
