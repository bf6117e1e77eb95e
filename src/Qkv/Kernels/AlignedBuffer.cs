using System.Runtime.InteropServices;

namespace Qkv.Kernels;

/// <summary>
/// Float32 memory that starts on a cache line and never moves. It is ordinary managed memory on the pinned heap: the
/// garbage collector frees it, and nothing can free it while it is in use by somebody who holds the owner.
/// </summary>
internal sealed unsafe partial class AlignedBuffer
{
    // A cache line, and the width of the widest vector.
    private const int Alignment = 64;

    /// <summary>The most numbers that .NET allocates in one piece.</summary>
    public static readonly int MaxLength = Array.MaxLength - Alignment;

    private readonly float[] _memory;

    public AlignedBuffer(long length, bool zeroed = false)
    {
        if (length < 0 || length > MaxLength)
            throw new OutOfMemoryException($"A buffer of {length:N0} numbers is larger than .NET can allocate in one piece.");
        int size = (int)length + Alignment / sizeof(float);
        _memory = zeroed ? GC.AllocateArray<float>(size, pinned: true) : GC.AllocateUninitializedArray<float>(size, pinned: true);
        nint start = (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _memory[0]);
        Pointer = (float*)((start + Alignment - 1) & -Alignment);
        Length = (int)length;
    }

    /// <summary>The first number. Valid as long as this object is reachable.</summary>
    public float* Pointer { get; }

    public int Length { get; }

    public Span<float> Span => new(Pointer, Length);

    /// <summary>
    /// Bytes from a row of <paramref name="bytes"/> to the next where we may choose: rows that lie whole kilobytes apart fall into few places of a cache and drive each
    /// other out, so those get a line more.
    /// </summary>
    public static int RowBytes(int bytes) => bytes % 1024 == 0 ? bytes + Alignment : bytes;

    /// <summary>
    /// Asks for the pages of some memory that is about to be written for the first time: at once, where each would else be given when it is touched, at the price of an
    /// interruption. Where the system cannot, nothing happens.
    /// </summary>
    public static void Populate(Span<byte> memory)
    {
        const nuint page = 4096; // what addresses must be multiples of; where pages are larger, the system says no
        const int populateWrite = 23;
        if (!OperatingSystem.IsLinux() || memory.IsEmpty) return;
        nuint first = (nuint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetReference(memory)), start = first & ~(page - 1);
        try
        {
            _ = Advise((void*)start, first + (nuint)memory.Length - start, populateWrite);
        }
        catch (Exception missing) when (missing is DllNotFoundException or EntryPointNotFoundException)
        {
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
