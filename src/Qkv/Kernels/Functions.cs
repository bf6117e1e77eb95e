using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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

    /// <summary>
    /// 2ˣ within 2 units in the last place for x from -126 to 127; less than 2⁻¹²⁶ below, and 0 below -127; NaN for NaN. For whole vectors: 512 bits have a formula of
    /// their own, whose last bit may be another.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp2<V>(V x) where V : struct, ISimd<V>
    {
        if (typeof(V) == typeof(Simd512) && Avx512F.IsSupported) return Unsafe.BitCast<Simd512, V>(new(Exp2(Unsafe.BitCast<V, Simd512>(x).Vector)));
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

    /// <summary>The same by a table of sixteen roots, which one instruction reads: half the multiply-adds of a longer polynomial.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Exp2(Vector512<float> x)
    {
        // Beside it a float32 counts in sixteenths, so what is added to it is rounded to sixteenths, and the lowest bits say which.
        Vector512<float> sixteenths = Vector512.Create(786432f);
        x = Vector512.MaxNative(Vector512.Create(-127f), x);
        // x = n + j/16 + r, |r| ≤ 1/32, exactly: 2ˣ = 2ⁿ·2^(j/16)·2ʳ
        Vector512<float> rounded = x + sixteenths, r = x - (rounded - sixteenths);
        // The bits of 2^(j/16), less j·2¹⁹: shifted to where n meets the exponent, rounded brings that j along.
        Vector512<int> roots = Vector512.Create(
            0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
            0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d);
        Vector512<float> root = (Avx512F.PermuteVar16x32(roots, rounded.AsInt32()) + Vector512.ShiftLeft(rounded.AsInt32(), 19)).AsSingle();
        Vector512<float> p = Vector512.MultiplyAddEstimate(Vector512.Create(0.0555050857f), r, Vector512.Create(0.240233555f));
        p = Vector512.MultiplyAddEstimate(p, r, Vector512.Create(0.693147182f));
        return Vector512.MultiplyAddEstimate(root, p * r, root);
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
