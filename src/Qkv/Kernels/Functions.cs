using System.Runtime.CompilerServices;

namespace Qkv.Kernels;

/// <summary>
/// The transcendental functions, stated once for every vector width. Coefficients are minimax fits; the error given is the
/// largest over float32 inputs, rounding included, and a test measures it.
/// </summary>
internal static class Functions
{
    private const float Log2E = 1.44269504f;

    // ln 2 in two parts: the first has so few digits that n·Ln2High is exact for every exponent n.
    private const float Ln2High = 0.693359375f;
    private const float Ln2Low = -2.12194440e-4f;

    // Beyond these the result would leave the normal numbers: below it is 0, above it stays at 1.7e38.
    private const float ExpLowest = -87.33654f;
    private const float ExpHighest = 88f;

    /// <summary>eˣ within 2 units in the last place; 0 below -87.3, 1.7e38 above 88 (never infinite), NaN for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x) where V : struct, ISimd<V>
    {
        V highest = V.Create(ExpHighest);
        return ExpOfAtMost88(V.WhereLess(highest, x, highest, x));
    }

    /// <summary>The same where x is known to be at most 88, as in every softmax.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ExpOfAtMost88<V>(V x) where V : struct, ISimd<V>
    {
        // x = n·ln 2 + r, |r| ≤ ln 2 / 2: eˣ = 2ⁿ·eʳ
        V n = V.Round(x * V.Create(Log2E));
        V r = V.Fma(n, V.Create(-Ln2Low), V.Fma(n, V.Create(-Ln2High), x));
        V p = V.Create(0.00139504735f);
        p = V.Fma(p, r, V.Create(0.00836888276f));
        p = V.Fma(p, r, V.Create(0.0416662061f));
        p = V.Fma(p, r, V.Create(0.166665189f));
        p = V.Fma(p, r, V.Create(0.5f));
        p = V.Fma(p * r, r, r) + V.Create(1f);
        return V.WhereLess(x, V.Create(ExpLowest), V.Create(0f), V.Scale(p, n));
    }

    /// <summary>2ˣ within 2 units in the last place for x from -126 to 127; less than 2⁻¹²⁶ below, and 0 below -127; NaN for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp2<V>(V x) where V : struct, ISimd<V>
    {
        // At -127 exactly 2ʳ is 1, and its exponent, 127, becomes 0: that is zero. Max gives its second operand where one is NaN.
        x = V.Max(V.Create(-127f), x);
        // x = n + r, |r| ≤ 1/2, exactly: 2ˣ = 2ⁿ·2ʳ
        V n = V.Round(x), r = x - n;
        V p = V.Create(1.55946778e-4f);
        p = V.Fma(p, r, V.Create(1.34066434e-3f));
        p = V.Fma(p, r, V.Create(9.61769279e-3f));
        p = V.Fma(p, r, V.Create(0.0555031039f));
        p = V.Fma(p, r, V.Create(0.240226522f));
        p = V.Fma(p, r, V.Create(0.693147242f));
        p = V.Fma(p, r, V.Create(1f));
        return V.Scale(p, n);
    }

    /// <summary>The error function within 3.5e-7 (2.6e-7 with FMA; the fit alone is within 4.2e-8), exactly ±1 beyond ±4.1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Erf<V>(V x) where V : struct, ISimd<V> => V.CopySign(ErfOfMagnitude(V.Abs(x)), x);

    /// <summary>The same for x ≥ 0: x·P(x²)/Q(x²).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ErfOfMagnitude<V>(V x) where V : struct, ISimd<V>
    {
        // Min gives its second operand where one is NaN. At 4.1 the quotient is above 1 by more than its rounding.
        V one = V.Create(1f);
        x = V.Min(V.Create(4.1f), x);
        V t = x * x;
        V p = V.Create(2.01161098e-6f);
        p = V.Fma(p, t, V.Create(2.87565586e-4f));
        p = V.Fma(p, t, V.Create(3.91663150e-3f));
        p = V.Fma(p, t, V.Create(5.32050078e-2f));
        p = V.Fma(p, t, V.Create(0.194022394f));
        p = V.Fma(p, t, V.Create(1.12837901f));
        V q = V.Create(3.78364624e-5f);
        q = V.Fma(q, t, V.Create(1.19799487e-3f));
        q = V.Fma(q, t, V.Create(1.52693926e-2f));
        q = V.Fma(q, t, V.Create(0.115584974f));
        q = V.Fma(q, t, V.Create(0.505279370f));
        q = V.Fma(q, t, one);
        return V.Min(one, x * p / q);
    }

    /// <summary>tanh x within 1.5e-7 of its value: an odd polynomial near zero, 1 − 2/(e²ˣ + 1) elsewhere.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Tanh<V>(V x) where V : struct, ISimd<V>
    {
        V one = V.Create(1f), magnitude = V.Abs(x);
        V t = x * x;
        V p = V.Create(-0.00571705269f);
        p = V.Fma(p, t, V.Create(0.0206505950f));
        p = V.Fma(p, t, V.Create(-0.0537435008f));
        p = V.Fma(p, t, V.Create(0.133314913f));
        p = V.Fma(p, t, V.Create(-0.333332839f));
        V near = V.Fma(p * t, magnitude, magnitude);
        V far = one - V.Create(2f) / (Exp(magnitude + magnitude) + one);
        return V.CopySign(V.WhereLess(magnitude, V.Create(0.625f), near, far), x);
    }

    /// <summary>1 / (1 + e⁻ˣ) within 2.4e-7 of its value down to -86; below, where e⁻ˣ stays at 1.7e38, it stays at 6e-39.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<V>(V x) where V : struct, ISimd<V> => V.Create(1f) / (V.Create(1f) + Exp(V.Create(0f) - x));
}
