using Qkv;
using Qkv.Kernels;
using Qkv.Kernels.MachineCode;

// A consumer of the library, compiled ahead of time: `Qkv.Aot MODEL` fills a mask, and calls a tile itself.
TextEncoder encoder = TextEncoder.Load(args[0], new TextEncoderOptions { Precision = Precision.BFloat16 });
TokenPrediction guess = encoder.FillMask("请问附近有什么好吃的[MASK]馆吗？")[0][0];
Console.WriteLine($"{SimdSupport.Level} {guess.Token} {(MachineTiles.HasInt8 ? Tile() : MachineTiles.Refusal ?? "no tiles")}");

static unsafe int Tile()
{
    uint a = 0x04030201; // 1 + 2 + 3 + 4
    int* b = stackalloc int[32], c = stackalloc int[32];
    new Span<int>(b, 32).Fill(0x01010101);
    TileCall call = new() { A = (byte*)&a, B = (byte*)b, C = (byte*)c, Steps = 1, Tiles = 1, Next = (byte*)b };
    MachineTiles.Int8(1)(&call);
    return c[MatMulTile.PanelWidth - 1];
}
