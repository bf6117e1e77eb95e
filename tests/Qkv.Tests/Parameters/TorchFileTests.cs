using System.IO.Compression;
using System.Runtime.InteropServices;
using Qkv.Parameters;
using static Qkv.Tests.Parameters.TorchBytes;

namespace Qkv.Tests.Parameters;

/// <summary>One bad file for each refusal, and the odd but valid ones.</summary>
public class TorchFileTests
{
    private static readonly byte[] Storage = MemoryMarshal.AsBytes<float>([0, 1, 2, 3, 4, 5]).ToArray();
    private static readonly byte[] Whole = Tensor(6, 0, [2, 3], [3, 1]);

    [Fact]
    public void Tensors_of_a_made_file_are_read()
    {
        Assert.Equal([0f, 1, 2, 3, 4, 5], Read(Checkpoint(One(Whole), Storage)));
        Assert.Equal([0f, 3, 1, 4, 2, 5], Read(Checkpoint(One(Tensor(6, 0, [3, 2], [1, 3])), Storage)));
        Assert.Equal([2f, 5], Read(Checkpoint(One(Tensor(6, 2, [2, 1], [3, 1])), Storage)));
        Assert.Equal([4f], Read(Checkpoint(One(Tensor(6, 4, [], [])), Storage)));
    }

    [Fact]
    public void Zip64_is_read()
    {
        Assert.Equal([0f, 1, 2, 3, 4, 5], Read(Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage)], zip64: true)));
    }

    [Theory]
    [InlineData("state_dict")]
    [InlineData("model")]
    public void A_nested_state_dict_is_found(string key)
    {
        Assert.Equal([0f, 1, 2, 3, 4, 5], Read(Checkpoint(Pickle("}(", Unicode("epoch"), Integer(3), Unicode(key), "}", Unicode("a"), Whole, "s", "u"), Storage)));
    }

    [Fact]
    public void A_module_state_dict_with_its_attributes_is_read()
    {
        byte[] pickle = Pickle("ccollections\nOrderedDict\n)R(", Unicode("a"), Whole, "u}", Unicode("_metadata"), "ccollections\nOrderedDict\n)Rsb");
        Assert.Equal([0f, 1, 2, 3, 4, 5], Read(Checkpoint(pickle, Storage)));
    }

    [Fact]
    public void Protocol_4_is_read()
    {
        byte[] frame = [0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0];
        byte[] name = [0x8c, 1, (byte)'a', 0x94];
        byte[] rebuild = [0x8c, 12, .. "torch._utils"u8, 0x8c, 18, .. "_rebuild_tensor_v2"u8, 0x93, 0x94];
        byte[] storage = [.. "(("u8, 0x8c, 7, .. "storage"u8, 0x8c, 5, .. "torch"u8, 0x8c, 12, .. "FloatStorage"u8, 0x93, 0x8c, 1, (byte)'0', 0x8c, 3, .. "cpu"u8, (byte)'K', 6, .. "tQ"u8];
        byte[] rest = [(byte)'K', 0, (byte)'K', 2, (byte)'K', 3, 0x86, (byte)'K', 3, (byte)'K', 1, 0x86, 0x89, .. "}tRs."u8];
        Assert.Equal([0f, 1, 2, 3, 4, 5], Read(Checkpoint([.. frame, (byte)'}', .. name, .. rebuild, .. storage, .. rest], Storage)));
    }

    public static TheoryData<byte[], string> BadPickles => new()
    {
        { Pickle("cposix\nsystem\n", Unicode("rm -rf /"), "\u0085R"), "'posix.system', which Qkv refuses to execute" },
        { Pickle("c__builtin__\neval\n", Unicode("1"), "\u0085R"), "'__builtin__.eval'" },
        { Pickle("\u008c\u0002os\u008c\u0006system\u0093"), "'os.system'" },
        { Pickle("ctorch._utils\n_rebuild_tensor\n"), "'torch._utils._rebuild_tensor'" },
        { Pickle("ctorch\nComplexFloatStorage\n"), "'torch.ComplexFloatStorage'" },
        { Pickle(Unicode("posix"), Unicode("system"), "i"), "instruction 0x69" },
        { Pickle("(cposix\nsystem\no"), "'posix.system'" },
        { Pickle("ccollections\nOrderedDict\n)\u0081"), "instruction 0x81" },
        { Pickle("\u0082\u0001"), "instruction 0x82" },
        { Pickle("P0\n"), "instruction 0x50" },
        { Pickle("I1\n"), "instruction 0x49" },
        { Pickle("\u0080\u0005}"), "protocol 5" },
        { Pickle("\u0080\u0001}"), "protocol 1" },
        { Pickle("0"), "empty stack" },
        { Pickle("(0"), "empty stack" },
        { Pickle("t"), "never opened" },
        { Pickle("h\u0009"), "recalls value 9" },
        { Pickle("j\u00ff\u00ff\u00ff\u00ff"), "recalls value 4294967295" },
        { Pickle("X\u00ff\u00ff\u00ff\u007f"), "ends too early" },
        { Pickle("\u008d\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff"), "ends too early" },
        { Pickle("X\u0001\u0000\u0000\u0000\u00ff"), "not valid UTF-8" },
        { Pickle("cposix"), "ends inside a name" },
        { Pickle("\u008a\u0009123456789"), "integer of 9 bytes" },
        { Pickle("}", Integer(1), "a"), "appends to something that is no list" },
        { Pickle("]", Integer(1), Integer(1), "s"), "sets items of something that is no dict" },
        { Pickle("}(", Integer(1), "u"), "sets items" },
        { Pickle(")}b"), "sets attributes" },
        { Pickle(Integer(1), ")R"), "calls something that is no function" },
        { Pickle("ccollections\nOrderedDict\n", Integer(1), "\u0085R"), "calls OrderedDict with arguments" },
        { Pickle("ctorch._utils\n_rebuild_tensor_v2\n)R"), "calls RebuildTensor with arguments" },
        { Pickle(Unicode("storage"), "\u0085Q"), "refers to something outside" },
        { Pickle(Integer(1), Unicode("x"), "\u0093"), "names a global" },
        // A pair of ones, thirty times in a list, of which thirty dictionaries are made.
        {
            Pickle("K\u0001K\u0001\u0086q\u00000](", string.Concat(Enumerable.Repeat("h\u0000", 30)), "eq\u00010ccollections\nOrderedDict\nq\u00020h\u0001\u0085q\u00030",
                string.Concat(Enumerable.Repeat("h\u0002h\u0003R", 30))),
            "copies one list again and again"
        },
        { One(Tensor(1, 0, [.. Enumerable.Repeat(1L, 65)], [.. Enumerable.Repeat(1L, 65)])), "65 dimensions" },
        { [0x80, 2], "ends too early" },
        { Pickle("]"), "holds no dict" },
        { Pickle("}"), "holds no tensors" },
        { Pickle("}", Unicode("lr"), Integer(3), "s"), "holds no tensors" },
        { Pickle("}(", Unicode("state_dict"), "}", Unicode("a"), Whole, "s", Unicode("model"), "}", Unicode("a"), Whole, "s", "u"), "more than one" },
        { Pickle("}(", Unicode("a"), Whole, Unicode("model"), "}", Unicode("a"), Whole, "s", "u"), "more than one" },
        { One(Tensor(6, 0, [2, 3], [3, 1], key: "1")), "tensor 'a' needs entry 'x/data/1'" },
        { One(Tensor(6, 0, [2, 3], [3, 1], key: "../version")), "tensor 'a' needs entry 'x/data/../version'" },
        { One(Tensor(7, 0, [2, 3], [3, 1])), "tensor 'a' needs 7 elements of F32 in entry 'x/data/0', which has only 24 bytes" },
        { One(Tensor(long.MaxValue, 0, [2, 3], [3, 1])), "'a' needs" },
        { One(Tensor(-1, 0, [2, 3], [3, 1])), "refers to something outside" },
        { One(Tensor(6, 1, [2, 3], [3, 1])), "tensor 'a' with shape (2, 3) and strides (3, 1) reaches outside its storage of 6 elements" },
        { One(Tensor(6, 0, [2, 3], [4, 1])), "reaches outside" },
        { One(Tensor(6, 0, [2, 3], [long.MaxValue, long.MaxValue])), "reaches outside" },
        { One(Tensor(6, 0, [1000], [0])), "reaches outside" },
        { One(Tensor(6, 0, [2, 3], [-3, 1])), "tensor 'a' has shape (2, 3), strides (-3, 1) and offset 0, which make no view" },
        { One(Tensor(6, 0, [2, -3], [3, 1])), "make no view" },
        { One(Tensor(6, 0, [2, 3], [3])), "make no view" },
        { One(Tensor(6, -1, [2, 3], [3, 1])), "make no view" },
        { One(Tensor(6, 7, [0], [1])), "make no view" },
        { One(Tensor(6, 0, [1L << 40, 1L << 40], [1, 1])), "make no view" },
    };

    [Theory]
    [MemberData(nameof(BadPickles))]
    public void A_bad_pickle_is_refused(byte[] pickle, string reason) => Refused(Checkpoint(pickle, Storage), reason);

    public static TheoryData<byte[], string> BadArchives => new()
    {
        { [], "empty" },
        { "MZ..."u8.ToArray(), "no checkpoint of torch.save" },
        { "PK\x03\x04"u8.ToArray(), "no end record" },
        { [.. "PK\x03\x04PK\x06\x07"u8, .. new byte[11], 0x80, 1, 0, 0, 0, .. "PK\x05\x06"u8, .. new byte[18]], "zip64 end record does not fit" },
        { Zip([]), "no checkpoint of torch.save" },
        { Zip([new("x/data/0", Storage)]), "0 entries data.pkl" },
        { Zip([new("x/data.pkl", One(Whole)), new("y/data.pkl", One(Whole))]), "2 entries data.pkl" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data.pkl", One(Whole))]), "'x/data.pkl' twice" },
        { Zip([new("x/data.pkl", One(Whole)) { Method = 8 }]), "'x/data.pkl' is compressed" },
        { Zip([new("x/data.pkl", One(Whole)) { Flags = 1 }]), "'x/data.pkl' is compressed or encrypted" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage) { Length = 1_000_000_000 }]), "'x/data/0' is compressed" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage) { Length = 1_000_000_000, Compressed = 1_000_000_000 }]), "'x/data/0' at byte" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage) { Header = 4_000_000_000 }]), "'x/data/0' at byte 4000000000" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage) { Header = 0 }]), "overlaps" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage) { LocalName = "x/data/1" }]), "local header of entry 'x/data/0'" },
        { Zip([new("x/data.pkl", One(Whole)) { Length = 2000, Compressed = 2000 }, new("x/data/0", Storage), new("x/z", new byte[4000])]), "'x/data.pkl' overlaps" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage), new("x/byteorder", "big"u8.ToArray())]), "byte order is 'big'" },
        { Zip([new("x/data.pkl", One(Whole)), new("x/data/0", Storage), new("x/byteorder", new byte[1000])]), "'x/byteorder' has 1000 bytes" },
    };

    [Theory]
    [MemberData(nameof(BadArchives))]
    public void A_bad_archive_is_refused(byte[] archive, string reason) => Refused(archive, reason);

    [Fact]
    public void A_zip_bomb_is_refused_before_anything_is_inflated()
    {
        MemoryStream bomb = new();
        using (ZipArchive zip = new(bomb, ZipArchiveMode.Create, leaveOpen: true))
        {
            using (Stream pickle = zip.CreateEntry("x/data.pkl", CompressionLevel.NoCompression).Open())
            {
                pickle.Write(One(Whole));
            }

            using Stream storage = zip.CreateEntry("x/data/0", CompressionLevel.SmallestSize).Open();
            storage.Write(new byte[50_000_000]);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        Refused(bomb.ToArray(), "compressed");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2_000_000);
    }

    [Fact]
    public void Many_views_of_one_storage_are_refused()
    {
        byte[] storage = new byte[1 << 16];
        object[] views = [.. Enumerable.Range(0, 200).SelectMany(i => (object[])[Unicode($"t{i}"), Tensor(1 << 14, 0, [1 << 14], [1])])];
        Refused(Checkpoint(Pickle(["}(", .. views, "u"]), storage), "sharing of storages");
    }

    [Fact]
    public void The_format_before_PyTorch_1_6_is_refused_with_the_way_out()
    {
        Refusal.Contains(() => ParameterFile.Open(Golden.Path("bert-tiny-bin", "legacy_format.bin")).Dispose(), "legacy_format.bin", "before version 1.6", "torch.save");
    }

    [Fact]
    public void A_truncated_file_is_refused()
    {
        byte[] whole = Checkpoint(One(Whole), Storage);
        for (int length = 0; length < whole.Length; length++)
        {
            Refused(whole[..length], "bad.bin");
        }
    }

    [Fact]
    public void A_deep_pickle_is_no_deep_recursion()
    {
        Refused(Checkpoint(Pickle(new string(']', 1_000_000) + new string('a', 999_999)), Storage), "holds no dict");
    }

    private static float[] Read(byte[] checkpoint)
    {
        using TemporaryDirectory directory = new();
        using TorchFile file = new(directory.Write("good.bin", checkpoint));
        Assert.Equal(["a"], file.Parameters.Keys);
        return file.ReadAll("a");
    }

    private static void Refused(byte[] checkpoint, string reason)
    {
        using TemporaryDirectory directory = new();
        Refusal.Contains(() => new TorchFile(directory.Write("bad.bin", checkpoint)).Dispose(), "bad.bin", reason);
    }
}
