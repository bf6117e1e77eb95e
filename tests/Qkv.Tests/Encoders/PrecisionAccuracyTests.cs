using Qkv.Kernels;
using Qkv.Tests.Docs;

namespace Qkv.Tests.Encoders;

/// <summary>What lower precisions do to the vectors of the bundled model. (Not once a level: sums of int8 are the same at all of them.)</summary>
public class PrecisionAccuracyTests
{
    [Fact]
    public void int8_vectors_point_where_those_of_float32_do()
    {
        string directory = Path.Combine(Document.Root, "models");
        string[] texts = [.. File.ReadLines(Golden.Path("texts", "chinese.txt")), .. ((string[])["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/attention.md"])
            .SelectMany(file => File.ReadLines(Path.Combine(Document.Root, file))).Where(line => line.Length > 40)];
        double[][] whole = Centred(Precision.Float32), quarter = Centred(Precision.Int8);
        double cosine = whole.Zip(quarter, Dot).Average();
        double same = Enumerable.Range(0, texts.Length).Average(i => Nearest(whole, i) == Nearest(quarter, i) ? 1.0 : 0);
        Assert.True(texts.Length > 400 && cosine >= 0.995 && same >= 0.95, $"{texts.Length} texts: cosine {cosine:F5}, same nearest neighbour {same:P1}");
        // Rounding shows.
        Assert.True(cosine < 0.99999);

        double[][] Centred(Precision precision)
        {
            var encoder = TextEncoder.Load(directory, new() { Precision = precision });
            double[][] vectors = [.. encoder.Embed(texts).Select(text => text.Vector.ToDoubles())];
            double[] mean = [.. Enumerable.Range(0, vectors[0].Length).Select(i => vectors.Average(vector => vector[i]))];
            return [.. vectors.Select(vector => Unit([.. vector.Zip(mean, (number, average) => number - average)]))];
        }

        static int Nearest(double[][] vectors, int i) => Enumerable.Range(0, vectors.Length).Where(other => other != i).MaxBy(other => Dot(vectors[i], vectors[other]));

        static double[] Unit(double[] vector) => [.. vector.Select(number => number / Math.Sqrt(Dot(vector, vector)))];

        static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
    }
}
