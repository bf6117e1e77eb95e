namespace Qkv.Tests.Reference;

/// <summary>Gradients by what they mean: how the loss changes when a number does, in double precision.</summary>
internal static class CentralDifferences
{
    // The formula errs by h⁴/30 times the fifth derivative, and by 1e-16/h of the loss: both are far below the tolerance.
    private const double Step = 1e-3, Tolerance = 1e-6;

    /// <summary>Holds the gradients of a computation to (8·(f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h for each number of each input.</summary>
    public static void Check(string name, Func<Tape<double>, Node<double>> forward, params ReadOnlySpan<Node<double>> inputs)
    {
        foreach (Node<double> input in inputs) Array.Clear(input.Gradient);
        var tape = new Tape<double>();
        tape.Backward(forward(tape));
        foreach (Node<double> input in inputs)
        {
            double bound = Tolerance * input.Gradient.Select(Math.Abs).DefaultIfEmpty().Max() + 1e-10;
            for (int i = 0; i < input.Values.Length; i++)
            {
                double slope = (8 * (At(i, Step) - At(i, -Step)) - (At(i, 2 * Step) - At(i, -2 * Step))) / (12 * Step);
                Assert.True(Math.Abs(slope - input.Gradient[i]) <= bound, $"{name}[{i}]: the gradient is {input.Gradient[i]:G12}, but the loss changes by {slope:G12}.");
            }

            double At(int i, double step)
            {
                double value = input.Values[i];
                input.Values[i] = value + step;
                double loss = forward(new Tape<double>()).Values[0];
                input.Values[i] = value;
                return loss;
            }
        }
    }
}
