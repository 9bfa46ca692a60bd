"""A picture as a coefficient, a task of KINN (arXiv 2406.11045, its code only): k Laplace(T) + F = 0 with T and F known.

T = cos(15 pi x y) in the unit square is known exactly, and so is the source F that belongs to it; k(x, y) is a photograph, the
portrait of Grace Hopper that comes with Matplotlib in 128 x 128 grey values, bilinear between its pixels. KINN's KAN finds
k to 5.5e-2. No derivative of k is stated, so that nothing ties one place to the next: k is a spline with a weight for each
pixel. Where T has no curvature, nothing determines k; the rest is exact up to rounding, and there are no data and no noise.

Options: `pixels` along each side, `length` stretches the square, `size` scales k, `shift` moves the square.
"""

import matplotlib.cbook
import numpy as np
import sympy as sp
from PIL import Image
from scipy.interpolate import RegularGridInterpolator

import kinn


def picture(pixels):
    """The grey values (pixels, pixels) between 0 and 1, the first axis to the right and the second one up."""
    with Image.open(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))) as photograph:
        grey = photograph.convert("L").resize((pixels, pixels))
    return np.asarray(grey)[::-1].T / 255


def truth(pixels=128, length=1.0, shift=0.0):
    """k as a function of the coordinates."""
    grid = shift + length * np.linspace(0, 1, pixels)
    image = RegularGridInterpolator((grid, grid), picture(pixels))
    return lambda x, y: image(np.clip(np.stack([np.asarray(x), np.asarray(y)], -1), grid[0], grid[-1]))


def problem(pixels=128, length=1.0, size=1.0, shift=0.0):
    pixels = int(pixels)
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length), cells=pixels - 1)
    x, y = mesh.coordinates
    k = kinn.Field("k", mesh, guess=size / 2)
    image = size * kinn.Coefficient("image", mesh, truth(pixels, length, shift))
    temperature = sp.cos(15 * sp.pi * (x - shift) / length * (y - shift) / length)
    curvature = temperature.diff(x, 2) + temperature.diff(y, 2)
    return kinn.Problem(mesh, {"heat": k * curvature - image * curvature}, exact={k: image})


def reference(problem):
    """The picture."""
    ((k, exact),), (image,) = problem.exact.items(), problem.coefficients.values()
    return {k: lambda points: float(exact / image) * image.numeric(*np.asarray(points).T)}
