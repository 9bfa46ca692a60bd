"""The report's page in a real browser, and that it needs nothing from outside."""

import re
import shutil
import subprocess

import pytest
from test_comparison import made

from kinn.comparison.page import write_report
from kinn.comparison.run import Run
from kinn.comparison.sweep import PICTURES

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture
def folder(tmp_path):
    rows = []
    for problem, kan, mlp in (("plate", 2e-4, 1e-5), ("rod <b>", 3e-6, None), ("beam", 5e-5, 4e-2)):
        for solver, error in (("kan", kan), ("mlp", mlp)):
            run = Run(f"{problem}.py", "0", solver)
            times = [(1.0, error * 3), (2.0, error)] if error else ()
            rows.append(made(run, error, times) if error else run.row("died", "no | memory"))
    (tmp_path / PICTURES).mkdir()
    (tmp_path / PICTURES / f"{rows[0]['key']}.png").write_bytes(b"\x89PNG of an error")
    write_report(rows, tmp_path, "Three <problems>")
    return tmp_path


def test_the_page_is_one_file_and_escapes_what_others_wrote(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    outside = r"https?:|<link|@import|<script src|src=\"(?!data:)"
    assert not re.search(outside, page)
    assert "Three &lt;problems&gt;" in page and "rod &lt;b&gt;" in page and "rod <b>" not in page
    assert page.count('<img src="data:image/png;base64,') == 7  # two for each problem, and one map
    assert "| rod <b> | mlp | 1 | none |" in (folder / "report.md").read_text(encoding="utf-8")


def shown(folder, view):
    """The cells of the rows that the browser shows, after its script has run."""
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom",
               f"--user-data-dir={folder / 'browser'}", (folder / "report.html").as_uri() + view]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    body = re.search(r'<table class="main">.*?<tbody>(.*?)</tbody>', dom, re.DOTALL)
    assert body is not None
    rows = re.findall(r"<tr([^>]*)>(.*?)</tr>", body[1], re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for attributes, row in rows if "hidden" not in attributes]
    return [f"{row[0]}: {row[1]}" for row in cells], dom


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: apt install chromium")
def test_a_browser_sorts_and_filters(folder):
    every, _ = shown(folder, "")
    assert every == ["plate: kan", "plate: mlp", "rod &lt;b&gt;: kan", "rod &lt;b&gt;: mlp", "beam: kan", "beam: mlp"]
    rising, dom = shown(folder, "#sort=3")
    assert rising == ["rod &lt;b&gt;: kan", "plate: mlp", "beam: kan", "plate: kan", "beam: mlp", "rod &lt;b&gt;: mlp"]
    assert 'aria-sort="ascending"' in dom
    falling, _ = shown(folder, "#sort=3&down=1&filter=kan")
    assert falling == ["plate: kan", "beam: kan", "rod &lt;b&gt;: kan"]
    assert shown(folder, "#filter=plate+mlp")[0] == ["plate: mlp"]
    assert shown(folder, "#sort=0")[0][:2] == ["beam: kan", "beam: mlp"]  # by name, else as it was
