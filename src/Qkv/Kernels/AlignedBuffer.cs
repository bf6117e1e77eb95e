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

    // From here on memory is worth asking for in large pages: they are 2 MB, and neighbours share them.
    private const long Large = 1 << 20;

    private readonly float[] _memory;

    public AlignedBuffer(long length, bool zeroed = false)
    {
        if (length < 0 || length > Array.MaxLength - Alignment)
            throw new OutOfMemoryException($"A buffer of {length:N0} numbers is larger than .NET can allocate in one piece.");
        int size = (int)length + Alignment / sizeof(float);
        _memory = zeroed ? GC.AllocateArray<float>(size, pinned: true) : GC.AllocateUninitializedArray<float>(size, pinned: true);
        nint start = (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _memory[0]);
        Pointer = (float*)((start + Alignment - 1) & -Alignment);
        Length = (int)length;
        if (size * (long)sizeof(float) >= Large) AskForLargePages(Pointer, (nuint)Length * sizeof(float));
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
    /// Memory is given page by page as it is first touched, and each page is looked up when it is used: five hundred times less often where pages are 2 MB. Advice only:
    /// what the system makes of it changes no number.
    /// </summary>
    private static void AskForLargePages(float* memory, nuint bytes)
    {
        const nuint page = 4096; // what addresses must be multiples of; where pages are larger, the system says no
        const int hugePages = 14;
        if (!OperatingSystem.IsLinux()) return;
        // Outwards: what lies beside it becomes one range with it.
        nuint start = (nuint)memory & ~(page - 1), end = ((nuint)memory + bytes + page - 1) & ~(page - 1);
        try
        {
            _ = Advise((void*)start, end - start, hugePages);
        }
        catch (Exception missing) when (missing is DllNotFoundException or EntryPointNotFoundException)
        {
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
