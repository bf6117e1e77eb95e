using System.Runtime.InteropServices;

namespace Qkv.Kernels.MachineCode;

/// <summary>
/// Machine code where the processor may run it: written to fresh pages, which then become readable and executable and can never be written again.
/// It stays until the process ends.
/// </summary>
internal static unsafe partial class ExecutableMemory
{
    /// <summary>The address of a copy of <paramref name="code"/>, or null and the reason why the operating system gives none.</summary>
    public static byte* Load(ReadOnlySpan<byte> code, out string? refusal)
    {
        byte* memory = OperatingSystem.IsLinux() ? OnLinux(code, out string? step) : OperatingSystem.IsWindows() ? OnWindows(code, out step) : Unknown(out step);
        refusal = step == null ? null : $"the operating system refused executable memory ({step})";
        return memory;
    }

    private static byte* OnLinux(ReadOnlySpan<byte> code, out string? failed)
    {
        const int read = 1, write = 2, execute = 4, @private = 2, anonymous = 0x20;
        void* memory = Map(null, (nuint)code.Length, read | write, @private | anonymous, -1, 0);
        if (memory == (void*)-1) return Failed("mmap", out failed);
        code.CopyTo(new Span<byte>(memory, code.Length));
        // Hardened systems (SELinux without execmem, systemd's MemoryDenyWriteExecute) say no here.
        if (Protect(memory, (nuint)code.Length, read | execute) != 0)
        {
            failed = $"mprotect, error {Marshal.GetLastPInvokeError()}";
            _ = Unmap(memory, (nuint)code.Length);
            return null;
        }
        failed = null;
        return (byte*)memory;
    }

    private static byte* OnWindows(ReadOnlySpan<byte> code, out string? failed)
    {
        const uint commitAndReserve = 0x3000, readWrite = 0x04, executeRead = 0x20;
        void* memory = VirtualAlloc(null, (nuint)code.Length, commitAndReserve, readWrite);
        if (memory == null) return Failed("VirtualAlloc", out failed);
        code.CopyTo(new Span<byte>(memory, code.Length));
        // The pages of a process that forbids dynamic code stay as they are, some kilobytes that nothing reads.
        if (VirtualProtect(memory, (nuint)code.Length, executeRead, out _) == 0) return Failed("VirtualProtect", out failed);
        failed = null;
        return (byte*)memory;
    }

    private static byte* Unknown(out string? failed)
    {
        failed = "Qkv knows how to ask Linux and Windows";
        return null;
    }

    private static byte* Failed(string function, out string? failed)
    {
        failed = $"{function}, error {Marshal.GetLastPInvokeError()}";
        return null;
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial void* VirtualAlloc(void* address, nuint length, uint type, uint protection);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int VirtualProtect(void* address, nuint length, uint protection, out uint before);
}
