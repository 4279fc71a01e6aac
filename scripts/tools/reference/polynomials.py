"""Coefficients of dsl/engine/wasm/assembly/maths.ts: minimax fits by Lawson's reweighted least squares.

Run: python scripts/tools/reference/polynomials.py (needs numpy and mpmath). Prints each fit's largest relative error, before
the last coefficients are rounded to float32, and its coefficients, lowest power first.
"""

import mpmath
import numpy

mpmath.mp.dps = 40


def points(low, high, count):
    """Chebyshev points of [low, high]."""
    at = (numpy.arange(count) + 0.5) * numpy.pi / count
    return (low + high) / 2 + (high - low) / 2 * numpy.cos(at)


def lawson(matrix, target, weight, rounds=200):
    """c that makes max |weight (matrix c - target)| small."""
    importance = numpy.ones(len(target))
    best, least = None, numpy.inf
    for _ in range(rounds):
        factor = numpy.sqrt(importance) * weight
        scaled = matrix * factor[:, None]
        size = numpy.linalg.norm(scaled, axis=0)
        c = numpy.linalg.lstsq(scaled / size, target * factor, rcond=None)[0] / size
        error = numpy.abs(weight * (matrix @ c - target))
        if error.max() < least:
            best, least = c, error.max()
        importance = importance * (error / error.max() + 1e-4)
        importance /= importance.sum()
    return best, least


def polynomial(x, target, weight, degree):
    """Coefficients rounded to float32 one after the other, the higher ones refitted each time."""
    fixed = []
    for power in range(degree + 1):
        rest = target - sum(c * x**i for i, c in enumerate(fixed))
        matrix = numpy.stack([x**i for i in range(power, degree + 1)], 1)
        c, error = lawson(matrix, rest, weight)
        fixed.append(float(numpy.float32(c[0])))
    return fixed, error


def rational(x, target, upper, lower):
    """Numerator and denominator, the latter starting with 1, for the relative error."""
    scale = x.max()
    t = x / scale
    importance, denominator, least = numpy.ones_like(t), numpy.ones_like(t), numpy.inf
    for round in range(400):
        columns = [t**i for i in range(upper + 1)] + [-target * t**i for i in range(1, lower + 1)]
        factor = numpy.sqrt(importance) / (target * denominator)
        scaled = numpy.stack(columns, 1) * factor[:, None]
        size = numpy.linalg.norm(scaled, axis=0)
        c = numpy.linalg.lstsq(scaled / size, target * factor, rcond=1e-18)[0] / size
        denominator = 1 + sum(c[upper + i] * t**i for i in range(1, lower + 1))
        error = numpy.abs(sum(c[i] * t**i for i in range(upper + 1)) / denominator / target - 1)
        if error.max() < least and denominator.min() > 0:
            best, least = c, error.max()
        if round > 10:
            importance = importance * (error / error.max() + 1e-3)
            importance /= importance.sum()
    above = [float(numpy.float32(best[i] / scale**i)) for i in range(upper + 1)]
    below = [1.0] + [float(numpy.float32(best[upper + i] / scale**i)) for i in range(1, lower + 1)]
    return above, below, least


def values(function, x):
    return numpy.array([float(function(mpmath.mpf(v))) for v in x])


def show(name, error, *lists):
    print(f"{name}: {error:.2g}")
    for each in lists:
        print("  " + ", ".join(f"{v:.9g}" for v in each))


high = round(float(mpmath.log(2)) * 2**14) / 2**14
show("ln(2), high and low", 0, [high, float(numpy.float32(mpmath.log(2) - mpmath.mpf(high)))])

half = float(mpmath.log(2)) / 2
x = points(-half, half, 400)
show("exp, (e^r - 1 - r) / r^2", *reversed(polynomial(x, values(lambda v: (mpmath.expm1(v) - v) / v**2, x), abs(x), 4)))

x = points(1e-3, 0.5, 1500)
y = values(lambda v: mpmath.erf(v) / v - 1, x)
show("erf below 1/2, (erf(x) / x - 1) in x^2", *reversed(polynomial(x * x, y, 1 / (1 + y), 4)))

x = numpy.concatenate([points(0, 9.4, 4000), numpy.linspace(0, 1, 300)])
above, below, error = rational(x, values(lambda v: mpmath.exp(v * v) * mpmath.erfc(v), x), 4, 5)
show("erfcx, e^(x^2) erfc(x)", error, above, below)
