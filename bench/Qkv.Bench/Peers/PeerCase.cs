namespace Qkv.Bench.Peers;

/// <summary>
/// One row of the comparison, by name. Qkv's precision is in the name; the peer's is float32 but for int8, where its graph is quantised
/// too and holds other parameters, so that outputs cannot be compared.
/// </summary>
/// <param name="Model">A <see cref="PeerModel"/>, or <c>attention</c> for the mechanism alone.</param>
/// <param name="Precision">What Qkv computes with.</param>
/// <param name="Size">Sequences × tokens, a length, or which ragged batch.</param>
internal sealed record PeerCase(string Model, string Precision, string Size)
{
    public const string Attention = "attention", RaggedArrival = "ragged-arrival", RaggedSorted = "ragged-sorted";

    private static readonly string[] s_float32Sizes = ["1x16", "1x128", "1x512", "8x128", RaggedArrival, RaggedSorted];

    public static readonly PeerCase[] All =
    [
        .. PeerModel.All.SelectMany(model => s_float32Sizes.Select(size => new PeerCase(model.Name, "float32", size))),
        .. new[] { "1x16", "1x128", "8x128", "1x512", RaggedSorted }.Select(size => new PeerCase("bert-base", "bfloat16", size)),
        new("minilm-l6", "bfloat16", "1x128"),
        .. new[] { "1x128", "8x128" }.Select(size => new PeerCase("bert-base", "int8", size)),
        .. from precision in (string[])["float32", "bfloat16"] from length in (string[])["512", "2048", "8192"] select new PeerCase(Attention, precision, length),
    ];

    public string Name => $"{Model}/{Precision}/{Size}";

    public string PeerPrecision => Precision == "int8" ? "int8" : "f32";

    public bool SameParameters => PeerPrecision == "f32";

    /// <summary>Outputs further apart than this fail the row; parameters of fewer bits are meant to differ.</summary>
    public double Tolerance => Precision == "float32" ? 5e-5 : double.PositiveInfinity;

    /// <summary>Lengths of the sequences, in the order of arrival.</summary>
    public int[] Lengths()
    {
        if (Size is RaggedArrival or RaggedSorted) return [.. File.ReadLines(PeerModel.Data("ragged-lengths.txt")).Select(int.Parse)];
        int[] sizes = [.. Size.Split('x').Select(int.Parse)];
        return [.. Enumerable.Repeat(sizes[^1], sizes.Length == 1 ? 1 : sizes[0])];
    }

    /// <summary>The peer's batches, as numbers of sequences: it has to pad each to its longest, which costs least where lengths are sorted.</summary>
    public int[][] PeerBatches(int[] lengths)
    {
        const int batch = 16;
        IEnumerable<int> order = Enumerable.Range(0, lengths.Length);
        if (Size == RaggedSorted) order = order.OrderBy(sequence => lengths[sequence]);
        return [.. order.Chunk(batch)];
    }
}
