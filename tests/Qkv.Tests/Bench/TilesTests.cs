namespace Qkv.Tests.Bench;

/// <summary>The engine's machine code is what the assembler makes, and the listing beside it what the bytes say.</summary>
public class TilesTests
{
    [Fact]
    public void The_committed_tiles_are_those_of_the_assembler()
    {
        (int code, _, string error) = Benchmarks.Run("tiles", "--check");
        Assert.True(code == 0, error);
    }
}
