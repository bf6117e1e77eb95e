using Qkv.App;
using Qkv.App.Output;

using IDisposable signals = OutputFile.RemoveWhenInterrupted();
return CommandLine.Run(args, Terminal.OfProcess());
