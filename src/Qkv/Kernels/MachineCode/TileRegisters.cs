using System.Runtime.InteropServices;

namespace Qkv.Kernels.MachineCode;

/// <summary>
/// The eight tile registers of AMX, 16 rows × 64 bytes each: whether the process may use them, and how they are configured. 0 … 3 are the sums of a tile, 4 and 5 its rows of A,
/// 6 and 7 what they meet of B.
/// </summary>
internal static unsafe partial class TileRegisters
{
    /// <summary>Rows of a register, and steps of four bytes in a row of one.</summary>
    public const int Rows = 16;

    // As ldtilecfg reads it: the palette, the bytes of a row of each register from 16 on, and its rows from 48 on.
    private const int ConfigurationBytes = 64, BytesOfRow = 16, RowsOfRegister = 48, Count = 8;

    /// <summary>
    /// Asks Linux for the registers, which every thread must save from then on once it has used them: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), since
    /// Linux 5.16. False where it does not know, or does not want to.
    /// </summary>
    public static bool Ask()
    {
        const int archPrctl = 158, requestPermission = 0x1023, tileData = 18;
        try
        {
            return OperatingSystem.IsLinux() && SystemCall(archPrctl, requestPermission, tileData) == 0;
        }
        catch (Exception missing) when (missing is DllNotFoundException or EntryPointNotFoundException)
        {
            return false;
        }
    }

    /// <summary>Configurations (<paramref name="most"/>, 64) for tiles of 1, 2, … rows.</summary>
    public static byte* Configure(int most)
    {
        byte* all = (byte*)NativeMemory.AllocZeroed((nuint)(most * ConfigurationBytes));
        for (int rows = 1; rows <= most; rows++)
        {
            byte* one = all + (rows - 1) * ConfigurationBytes;
            int upper = Math.Min(rows, Rows), lower = rows - upper;
            one[0] = 1;
            ReadOnlySpan<int> rowsOf = [upper, upper, lower, lower, upper, lower, Rows, Rows];
            for (int register = 0; register < Count; register++)
            {
                if (rowsOf[register] == 0) continue;
                *(ushort*)(one + BytesOfRow + 2 * register) = 4 * Rows;
                one[RowsOfRegister + register] = (byte)rowsOf[register];
            }
        }
        return all;
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, nint code, nint feature);
}
