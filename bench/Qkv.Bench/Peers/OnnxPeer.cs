using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace Qkv.Bench.Peers;

/// <summary>
/// A graph in ONNX Runtime at its best: every graph optimisation, as many threads as Qkv has, which spin between operators, its
/// arena and memory plans, and inputs and outputs bound to memory that is there before the first call.
/// </summary>
internal sealed partial class OnnxPeer : IDisposable
{
    private readonly InferenceSession _session;
    private readonly RunOptions _run = new();

    public OnnxPeer(string graph, int threads)
    {
        using var options = new SessionOptions
        {
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            EnableCpuMemArena = true,
            EnableMemoryPattern = true,
        };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "1");
        _session = new InferenceSession(graph, options);
    }

    /// <summary>The version of the native library.</summary>
    /// <exception cref="DllNotFoundException">There is none for this machine.</exception>
    public static string Version => OrtEnv.Instance().GetVersionString();

    /// <summary>
    /// What ONNX Runtime allocates outside its arena would go back to the kernel after every call, and come back as page faults, which
    /// are dear on virtual machines. Call it before the first allocation of that size.
    /// </summary>
    public static void KeepFreedMemory()
    {
        const int trimThreshold = -1, mapThreshold = -3;
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            // Older versions of glibc refuse more than 32 MB.
            if (SetAllocator(mapThreshold, 1 << 30) == 0) SetAllocator(mapThreshold, 32 << 20);
            SetAllocator(trimThreshold, int.MaxValue);
        }
        catch (EntryPointNotFoundException)
        {
            // Another C library than glibc: it has no such thresholds.
        }
    }

    /// <summary>One call, ready to be repeated.</summary>
    /// <param name="inputs">Of every input its name, numbers and shape.</param>
    /// <param name="output">The name of the output.</param>
    /// <param name="shape">Its shape.</param>
    public Bound Bind((string Name, OrtValue Value)[] inputs, string output, long[] shape) => new(this, inputs, output, shape);

    public void Dispose()
    {
        _run.Dispose();
        _session.Dispose();
    }

    // glibc's mallopt: 1 done, 0 refused.
    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetAllocator(int parameter, int value);

    /// <summary>Inputs and an output in place.</summary>
    public sealed class Bound : IDisposable
    {
        private readonly OnnxPeer _peer;
        private readonly OrtIoBinding _binding;
        private readonly OrtValue[] _values;

        public Bound(OnnxPeer peer, (string Name, OrtValue Value)[] inputs, string output, long[] shape)
        {
            _peer = peer;
            _binding = peer._session.CreateIoBinding();
            OrtValue result = OrtValue.CreateAllocatedTensorValue(OrtAllocator.DefaultInstance, TensorElementType.Float, shape);
            foreach ((string name, OrtValue value) in inputs) _binding.BindInput(name, value);
            _binding.BindOutput(output, result);
            _values = [result, .. inputs.Select(input => input.Value)];
        }

        public void Run() => _peer._session.RunWithBinding(_peer._run, _binding);

        public ReadOnlySpan<float> Output => _values[0].GetTensorDataAsSpan<float>();

        public void Dispose()
        {
            _binding.Dispose();
            foreach (OrtValue value in _values) value.Dispose();
        }
    }
}
