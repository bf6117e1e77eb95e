using Qkv.Training;

namespace Qkv.Tests.Training;

/// <summary>Scores against numbers worked out by hand, and what a step reads.</summary>
public class MeasureTests
{
    [Fact]
    public void Macro_F1_is_the_mean_over_the_labels_that_occur()
    {
        var confusion = new Confusion(4);
        foreach ((int expected, int predicted) in ((int, int)[])[(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (2, 1)]) confusion.Add(expected, predicted);
        // label 0: 2·2 / (3 + 3); label 1: 2·1 / (2 + 3); label 2: 0; label 3 does not occur
        Assert.Equal((4.0 / 6 + 2.0 / 5 + 0) / 3, confusion.MacroF1, 12);
        Assert.Equal(3.0 / 6, confusion.Accuracy, 12);
    }

    [Fact]
    public void Several_labels_are_counted_as_scikit_learn_does()
    {
        var score = new MultiLabelScore(3);
        score.Add([1, 0, 1], [2, -1, -0.5f]);
        score.Add([0, 1, 0], [-3, 0.1f, -1]);
        score.Add([0, 0, 0], [1, -1, -1]);
        // right, found, expected: label 0: 1, 2, 1; label 1: 1, 1, 1; label 2: 0, 0, 1
        Assert.Equal(2.0 * 2 / (3 + 3), score.MicroF1, 12);
        Assert.Equal((2.0 / 3 + 1 + 0) / 3, score.MacroF1, 12);
        Assert.Equal(1.0 / 3, score.Accuracy, 12);
    }

    [Fact]
    public void Correlations_are_those_of_scipy()
    {
        double[] x = [1, 2, 2, 4, 5], y = [2, 1, 3, 3, 9];
        // scipy.stats.pearsonr and spearmanr, the latter with ties
        Assert.Equal(0.8067763835357293, Correlation.Pearson(x, y), 12);
        Assert.Equal(0.7631578947368421, Correlation.Spearman(x, y), 12);
        Assert.Equal(0, Correlation.Spearman(x, [3, 3, 3, 3, 3]));
    }

    [Fact]
    public void Tags_join_into_entities()
    {
        List<EntitySpan> spans = EntitySpan.Join([("O", 0, 1), ("B-a", 1, 2), ("I-a", 2, 3), ("B-a", 3, 4), ("I-b", 4, 5), ("O", 5, 6), ("I-b", 6, 8)]);
        Assert.Equal([new("a", 1, 3), new("a", 3, 4), new("b", 4, 5), new("b", 6, 8)], spans);
    }

    [Fact]
    public void Entity_F1_counts_exact_places_and_groups()
    {
        EntityScore score = default(EntityScore)
            .Add([new("a", 0, 2), new("b", 3, 4)], [new("a", 0, 2), new("a", 3, 4), new("b", 5, 6)])
            .Add([new("a", 0, 2)], []);
        Assert.Equal(new EntityScore(1, 3, 3), score);
        Assert.Equal(1.0 / 3, score.Precision, 12);
        Assert.Equal(2.0 / 6, score.F1, 12);
    }

    [Fact]
    public void Every_epoch_reads_every_example_once_within_the_budget()
    {
        int[] lengths = [.. Enumerable.Range(0, 50).Select(i => 1 + i * 7 % 13)];
        var batches = new EpochBatches(lengths, 20);
        long first = batches.Steps(7, 1), both = batches.Steps(7, 2);
        int[][] read = [.. Enumerable.Range(1, (int)both).Select(step => batches.Of(7, step).ToArray())];
        Assert.All(read, batch => Assert.InRange(batch.Sum(row => lengths[row]), 1, 20));
        Assert.Equal(Enumerable.Range(0, 50), read.Take((int)first).SelectMany(batch => batch).Order());
        Assert.Equal(Enumerable.Range(0, 50), read.Skip((int)first).SelectMany(batch => batch).Order());
        Assert.NotEqual(read[0], read[first]);
        // Whatever was asked for before, a step reads the same.
        Assert.Equal(read[3], batches.Of(7, 4).ToArray());
        Assert.Equal(read[3], new EpochBatches(lengths, 20).Of(7, 4).ToArray());
    }
}
