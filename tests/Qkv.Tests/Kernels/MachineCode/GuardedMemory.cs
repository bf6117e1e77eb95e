using System.Runtime.InteropServices;

namespace Qkv.Tests.Kernels.MachineCode;

/// <summary>Memory that ends where a forbidden page begins: whoever reads or writes one byte beyond its end is stopped by the processor.</summary>
internal sealed unsafe partial class GuardedMemory : IDisposable
{
    private readonly nuint _size;
    private readonly byte* _start;

    public GuardedMemory(int size)
    {
        const int read = 1, write = 2, @private = 2, anonymous = 0x20;
        nuint page = (nuint)Environment.SystemPageSize, pages = ((nuint)size + page - 1) / page;
        _size = (pages + 1) * page;
        _start = (byte*)Map(null, _size, read | write, @private | anonymous, -1, 0);
        Assert.True((nint)_start != -1);
        End = _start + pages * page;
        Assert.Equal(0, Protect(End, page, 0));
    }

    /// <summary>One byte after the last.</summary>
    public byte* End { get; }

    public void Dispose() => _ = Unmap(_start, _size);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);
}
