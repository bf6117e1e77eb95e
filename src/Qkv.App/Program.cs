using Qkv.App;
using Qkv.App.Output;

using IDisposable signals = Unfinished.RemoveWhenInterrupted();
return CommandLine.Run(args, Terminal.OfProcess());
