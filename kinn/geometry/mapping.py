"""The inverse of a cell's map: reference coordinates of points in space."""

from __future__ import annotations

import numpy as np

from kinn.geometry.cells import shape_functions

STEPS = 25
LONGEST = 0.5  # step of Newton's method in reference coordinates, so that a strongly bent cell does not throw it out


def inverse_map(reference: np.ndarray, corners: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference coordinates (n, d) of points x (n, d), each in its own cell with nodes `corners` (n, k, d).

    Newton's method from the center; a point that the cell's map does not reach keeps a remainder. Outside its cell a
    point may have reference coordinates too, or none.

    Returns:
        the coordinates, what remains of x - F(X) (n, d), and the Jacobians (n, d, d) there.
    """
    dimension = reference.shape[1]
    affine = len(reference) == dimension + 1
    place = np.tile(reference.mean(axis=0), (len(x), 1))
    rest, jacobian = _state(reference, corners, x, place)
    active = np.arange(len(x))
    for _ in range(1 if affine else STEPS):
        step = _solve(jacobian[active], rest[active])
        if not affine:
            step *= np.minimum(1.0, LONGEST / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        place[active] += step
        active = active[(np.abs(step).max(axis=1) > 1e-13) & (np.abs(place[active] - 0.5) < 3).all(axis=1)]
        if not len(active):
            break
        rest[active], jacobian[active] = _state(reference, corners[active], x[active], place[active])
    return place, *_state(reference, corners, x, place)


def _state(
    reference: np.ndarray, corners: np.ndarray, x: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    values, gradients = shape_functions(reference, place)
    jacobian = np.swapaxes(corners, 1, 2) @ gradients
    return x - np.einsum("nk,nkd->nd", values, corners), jacobian


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solutions (n, d) of small systems; a singular one gives a step of zero length, so that its point is given up."""
    determinant = np.linalg.det(matrix)
    size = np.abs(matrix).max(axis=(1, 2)) ** matrix.shape[1]
    good = np.abs(determinant) > 1e-14 * size
    solution = np.zeros_like(right)
    solution[good] = np.linalg.solve(matrix[good], right[good][:, :, None])[:, :, 0]
    return solution


def face_distances(simplex: bool, place: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """Signed distances (n, faces) in space, to first order, of points from the faces of their cells; inside positive.

    With `lambda` 0 on a face of the reference cell, the distance is `lambda / |J^-T grad lambda|`.
    """
    dimension = place.shape[1]
    if simplex:
        heights = np.hstack([1 - place.sum(axis=1, keepdims=True), place])
        normals = np.vstack([-np.ones((1, dimension)), np.eye(dimension)])
    else:
        heights = np.hstack([place, 1 - place])
        normals = np.vstack([np.eye(dimension), -np.eye(dimension)])
    good = np.abs(np.linalg.det(jacobian)) > 0
    distances = np.full(heights.shape, -np.inf)
    inverse = np.linalg.inv(jacobian[good])
    distances[good] = heights[good] / np.linalg.norm(normals @ inverse, axis=2)
    return distances


__all__ = ["face_distances", "inverse_map"]
