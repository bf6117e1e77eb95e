using System.Diagnostics;
using System.Text;
using Qkv.Parameters;

namespace Qkv.Tests.Parameters;

/// <summary>
/// Damaged files from fixed seeds: each is read, or refused with InvalidDataException, and never with anything else,
/// without much memory and in no time.
/// </summary>
public class FuzzTests
{
    // What a file of a few kilobytes may allocate: its bytes, its tables and one exception, many times over.
    private const long MaxAllocation = 4 << 20;

    private static readonly TimeSpan MaxTime = TimeSpan.FromSeconds(10);

    [Fact]
    public void Safetensors_headers()
    {
        string header = "{\"__metadata__\":{\"format\":\"pt\"}," + string.Join(",", Enumerable.Range(0, 5).Select(i => SafetensorsBytes.Tensor($"t{i}", i == 3 ? "F16" : "F32", "2,2", i < 4 ? 16 * i : 56, i < 3 ? 16 * (i + 1) : i == 3 ? 56 : 72))) + "}";
        byte[] text = Encoding.UTF8.GetBytes(header);
        Run(4000, 11, random => SafetensorsBytes.Of(Mutate(text, random), 72), "x.safetensors");
        Run(2000, 12, random => Mutate(SafetensorsBytes.Of(text, 72), random), "x.safetensors");
    }

    [Fact]
    public void Pickles()
    {
        byte[] views = File.ReadAllBytes(Golden.Path("bert-tiny-bin", "views.pt"));
        using TemporaryDirectory directory = new();
        using PositionedFile file = new(Golden.Path("bert-tiny-bin", "views.pt"));
        TorchArchive archive = new(file);
        TorchBytes.Entry[] entries = [.. archive.Names.Select(name => new TorchBytes.Entry(name, archive.Read(name, 1 << 20)))];
        int pickle = Array.FindIndex(entries, entry => entry.Name == "views/data.pkl");
        byte[] original = entries[pickle].Bytes;
        Run(4000, 21, random => { entries[pickle] = new("views/data.pkl", Mutate(original, random)); return TorchBytes.Zip(entries); }, "x.bin");
        Run(2000, 22, random => { byte[] noise = new byte[random.Next(200)]; random.NextBytes(noise); entries[pickle] = new("views/data.pkl", TorchBytes.Pickle(noise)); return TorchBytes.Zip(entries); }, "x.bin");
        Run(4000, 23, random => Mutate(views, random), "x.bin");
    }

    [Fact]
    public void Zip_structures()
    {
        byte[] storage = new byte[24];
        byte[] pickle = TorchBytes.One(TorchBytes.Tensor(6, 0, [3, 2], [1, 3]));
        byte[] zip = TorchBytes.Zip([new("x/data.pkl", pickle), new("x/data/0", storage), new("x/byteorder", "little"u8.ToArray())]);
        byte[] zip64 = TorchBytes.Zip([new("x/data.pkl", pickle), new("x/data/0", storage)], zip64: true);
        Run(3000, 31, random => Mutate(zip, random), "x.bin");
        Run(3000, 32, random => Mutate(zip64, random), "x.bin");
    }

    [Fact]
    public void Shard_indexes()
    {
        using TemporaryDirectory directory = new();
        SafetensorsWriter.Write(directory.File("one.safetensors"), [SafetensorsTensor.Of("a", [1], new float[] { 1 })]);
        byte[] index = """{"metadata":{"total_size":4},"weight_map":{"a":"one.safetensors"}}"""u8.ToArray();
        Run(3000, 41, random => Mutate(index, random), "x.index.json", directory);
    }

    [Fact]
    public void Configurations()
    {
        byte[] config = File.ReadAllBytes(Golden.Path("bert-tiny", "config.json"));
        Random random = new(51);
        for (int i = 0; i < 5000; i++)
        {
            byte[] mutated = Mutate(config, random);
            Bounded(() => EncoderConfig.Parse(mutated, "config.json"), $"mutation {i}");
        }
    }

    private static ReadOnlySpan<byte> Syntax => "\"{}[]:,0129-.eE\\ (tuRQqhcX\n"u8;

    private static void Run(int count, int seed, Func<Random, byte[]> make, string name, TemporaryDirectory? shared = null)
    {
        using TemporaryDirectory own = new();
        Random random = new(seed);
        for (int i = 0; i < count; i++)
        {
            string path = (shared ?? own).Write(name, make(random));
            Bounded(() => ReadEverything(path), $"seed {seed}, mutation {i}");
        }
    }

    private static void ReadEverything(string path)
    {
        using ParameterFile file = ParameterFile.Open(path);
        foreach ((string name, ParameterInfo parameter) in file.Parameters)
        {
            file.ReadAllBytes(name);
            if (parameter.Type.IsFloat())
            {
                file.ReadAll(name);
            }
        }
    }

    private static void Bounded(Action action, string which)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        try
        {
            action();
        }
        catch (InvalidDataException e)
        {
            Assert.NotEmpty(e.Message);
        }
        catch (Exception e)
        {
            Assert.Fail($"{which}: {e}");
        }

        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < MaxAllocation, $"{which} allocates too much");
        Assert.True(Stopwatch.GetElapsedTime(start) < MaxTime, $"{which} takes too long");
    }

    /// <summary>One to four small damages: bits, bytes, extreme integers, cuts, repetitions and swaps.</summary>
    private static byte[] Mutate(byte[] original, Random random)
    {
        List<byte> bytes = [.. original];
        for (int damages = random.Next(1, 5); damages > 0 && bytes.Count > 0; damages--)
        {
            int at = random.Next(bytes.Count), length = random.Next(Math.Min(16, bytes.Count - at) + 1);
            switch (random.Next(8))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2: bytes[at] = Syntax[random.Next(Syntax.Length)]; break;
                case 3: bytes.RemoveRange(at, length); break;
                case 4: bytes.InsertRange(at, bytes.GetRange(random.Next(bytes.Count - length + 1), length)); break;
                case 5: bytes.RemoveRange(at, random.Next(8) == 0 ? bytes.Count - at : 0); break;
                case 6:
                    byte extreme = (byte)(random.Next(2) == 0 ? 0xff : 0x7f);
                    for (int i = 0; i < length; i++)
                    {
                        bytes[at + i] = i == length - 1 ? extreme : (byte)0xff;
                    }

                    break;
                default: bytes.InsertRange(at, Encoding.ASCII.GetBytes($"{random.NextInt64() >> random.Next(63)}")); break;
            }
        }

        return [.. bytes];
    }
}
