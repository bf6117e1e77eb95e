using System.Runtime.InteropServices;

namespace Qkv.Tests.Kernels.MachineCode;

/// <summary>Memory that ends where a forbidden page begins: whoever reads or writes one byte beyond its end is stopped by the processor.</summary>
internal sealed unsafe partial class GuardedMemory : IDisposable
{
    private readonly nuint _size;
    private readonly byte* _start;

    public GuardedMemory(int size)
    {
        nuint page = (nuint)Environment.SystemPageSize, pages = ((nuint)size + page - 1) / page;
        _size = (pages + 1) * page;
        if (OperatingSystem.IsWindows())
        {
            const uint commitAndReserve = 0x3000, noAccess = 0x01, readWrite = 0x04;
            _start = (byte*)VirtualAlloc(null, _size, commitAndReserve, readWrite);
            Assert.True(_start != null);
            End = _start + pages * page;
            Assert.NotEqual(0, VirtualProtect(End, page, noAccess, out _));
            return;
        }
        const int read = 1, write = 2, @private = 2, anonymous = 0x20;
        _start = (byte*)Map(null, _size, read | write, @private | anonymous, -1, 0);
        Assert.True((nint)_start != -1);
        End = _start + pages * page;
        Assert.Equal(0, Protect(End, page, 0));
    }

    /// <summary>One byte after the last.</summary>
    public byte* End { get; }

    public void Dispose()
    {
        const uint release = 0x8000;
        if (OperatingSystem.IsWindows()) _ = VirtualFree(_start, 0, release);
        else _ = Unmap(_start, _size);
    }

    [LibraryImport("kernel32")]
    private static partial void* VirtualAlloc(void* address, nuint length, uint type, uint protection);

    [LibraryImport("kernel32")]
    private static partial int VirtualProtect(void* address, nuint length, uint protection, out uint before);

    [LibraryImport("kernel32")]
    private static partial int VirtualFree(void* address, nuint length, uint type);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);
}
