namespace Qkv.Training;

/// <summary>How the learning rate falls after the warm-up.</summary>
internal enum Decline
{
    /// <summary>In a straight line to zero.</summary>
    Linear,

    /// <summary>Along half a cosine to zero.</summary>
    Cosine,

    /// <summary>Not at all.</summary>
    Constant,
}

/// <summary>The learning rate over a run: a straight rise from zero during the warm-up, then a decline.</summary>
/// <param name="Peak">The highest rate.</param>
/// <param name="WarmUp">The part of the run that the rise takes.</param>
/// <param name="Decline">How it falls.</param>
internal sealed record Schedule(double Peak, double WarmUp = 0.06, Decline Decline = Decline.Linear)
{
    /// <summary>The rate when <paramref name="progress"/> (0 … 1) of the run is done.</summary>
    public double RateAt(double progress)
    {
        progress = Math.Clamp(progress, 0, 1);
        if (progress < WarmUp) return Peak * progress / WarmUp;
        double fallen = WarmUp >= 1 ? 0 : (progress - WarmUp) / (1 - WarmUp);
        return Decline switch
        {
            Decline.Linear => Peak * (1 - fallen),
            Decline.Cosine => Peak * (1 + Math.Cos(Math.PI * fallen)) / 2,
            _ => Peak,
        };
    }
}
