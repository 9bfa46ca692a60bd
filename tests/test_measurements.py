"""Observations from files: point data of meshes, logs of sensors, and what is wrong in them."""

import meshio
import numpy as np
import pytest

import kinn
from kinn.statement import StatementError

PLATE = kinn.Mesh.box((0, 0), (1, 1), cells=2)
WALL = kinn.Mesh.box(0, 1, cells=2) * kinn.Interval("t", 0, 10)


def test_a_scalar_and_the_components_of_a_vector_from_a_vtu_file(tmp_path):
    points = np.array([[0.1, 0.2, 0], [0.5, 0.6, 0], [0.9, 0.3, 0]])
    data = {"T": np.array([1.0, 2.0, 3.0]), "v": np.array([[1.0, 4.0, 0], [2.0, 5.0, 0], [3.0, 6.0, 0]])}
    meshio.Mesh(points, [("triangle", [[0, 1, 2]])], point_data=data).write(tmp_path / "run.vtu")
    T, v = kinn.Field("T", PLATE), kinn.Field("v", PLATE, components=2)
    found = kinn.Observations.read(T, tmp_path / "run.vtu", sigma=0.1)
    assert np.allclose(found.points, points[:, :2]) and np.allclose(found.values, [1, 2, 3]) and found.name == "T"
    assert np.allclose(kinn.Observations.read(v[1], tmp_path / "run.vtu", value="v_y").values, [4, 5, 6])
    with pytest.raises(StatementError, match="has no column 'v_Y'"):
        kinn.Observations.read(v[1], tmp_path / "run.vtu", value="v_Y")


def test_a_file_without_point_data_is_refused(tmp_path):
    meshio.Mesh(np.eye(3), [("triangle", [[0, 1, 2]])]).write(tmp_path / "bare.vtu")
    with pytest.raises(StatementError, match="holds no point data"):
        kinn.Observations.read(kinn.Field("T", PLATE), tmp_path / "bare.vtu")
    (tmp_path / "broken.vtu").write_text("no XML")
    with pytest.raises(StatementError, match="cannot read observations from"):
        kinn.Observations.read(kinn.Field("T", PLATE), tmp_path / "broken.vtu")


def test_sensors_are_read_where_they_were_read(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("t,inside,outside\n0,20,1\n5,,2\n10,22,3\n")
    T = kinn.Field("T", WALL)
    found = kinn.Observations.series(T, log, {"inside": 0.2, "outside": 0.9}, sigma=0.5, loss="huber")
    assert np.array_equal(found.points, [[0.2, 0], [0.2, 10], [0.9, 0], [0.9, 5], [0.9, 10]])
    assert np.array_equal(found.values, [20, 22, 1, 2, 3]) and found.loss == "huber"
    problem = kinn.Problem(WALL, T.diff(WALL.coordinates[1]) - kinn.div(kinn.grad(T)), [kinn.Initial(T, 0)], [found])
    problem.check()


def test_what_is_wrong_in_a_log_is_said(tmp_path):
    log, T = tmp_path / "log.csv", kinn.Field("T", WALL)
    log.write_text("t,inside\n0,20\n,21\n")
    with pytest.raises(StatementError, match="line 3: column 't' is '', not a finite number"):
        kinn.Observations.series(T, log, {"inside": 0.2})
    log.write_text("t,inside\n0,20\n1,21\n")
    with pytest.raises(StatementError, match="no column 'insid'.*inside"):
        kinn.Observations.series(T, log, {"insid": 0.2})
    with pytest.raises(StatementError, match="name its sensors"):
        kinn.Observations.series(T, log, {})
