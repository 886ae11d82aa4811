"""The demo: what its page says, wrong usage, and (slow) a tiny one from beginning to end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.tour.demo import main
from app.tour.demo_page import DemoPicture, html, look_up, number

ROOT = Path(__file__).resolve().parents[3]
FACTS = {
    "steps": {"vae": 1, "pixel_cnn": 1},
    "eval": {"vae": {"nats": 101.25, "images": 180}, "pixel_cnn": {"nats": 111.5, "bits_per_dim": 2.5}},
    "score": {
        "pixel_cnn": {
            "images": [
                {"file": "/x/stranger-nothing.png", "scores": {"log_likelihood": {"value": 1.5, "unit": "bits/dim", "p_value": 0.25}}},
                {"file": "/x/broken.png", "error": "It is damaged."},
            ]
        }
    },
    "ood": {"pixel_cnn": {"results": {"shapes": {"typicality": {"auroc": 0.875, "n_in": 180, "n_out": 200}}}}},
}

LIKELIHOOD = {"likelihood": DemoPicture("likelihood", ("likelihood.png",))}


def check_numbers(page: str, facts: dict) -> int:
    """Every number on the page is that of its place in the facts, as far as its digits go; returns how many there are."""
    told = re.findall(r'data-fact="([^"]+)">([^<]+)<', page)
    for path, shown in told:
        plain = shown.replace("−", "-").replace("\u202f", "")
        digits = len(plain.partition(".")[2])
        assert float(plain) == pytest.approx(look_up(facts, path), abs=0.51 * 10**-digits), path
    return len(told)


def test_that_every_number_on_the_page_is_one_of_the_run():
    page = html(FACTS, {"curves": DemoPicture("curves", ("curves-dark.png", "curves-light.png")), **LIKELIHOOD})
    assert check_numbers(page, FACTS) >= 8
    assert "likelier than digits" in page and "0.875" in page and ">0.250<" in page
    assert 'src="curves-dark.png"' in page and 'srcset="curves-light.png"' in page
    assert "http" not in page  # nothing is fetched


def test_that_the_dark_page_is_only_called_likelier_where_it_is():
    facts = json.loads(json.dumps(FACTS))
    facts["score"]["pixel_cnn"]["images"][0]["scores"]["log_likelihood"]["value"] = 2.75
    assert "likelier than digits" not in html(facts, LIKELIHOOD)


def test_that_the_page_says_what_decoded_images_are_as_the_verb_said_it():
    pictures = {name: DemoPicture(name, (f"{name}.png",)) for name in ("samples-vae", "latent", "prior", "plane")}
    for decode, wanted in (("mean", "a mean of p(x|z), smoother"), ("sample", "a sample of p(x|z)."), (None, "")):
        page = html(FACTS | {"sample": {"vae": {"decode": decode}}}, pictures)
        assert page.count("p(x|z)") == 4 * bool(wanted) == page.count(wanted or "p(x|z)")


def test_that_what_was_not_measured_is_a_dash():
    assert number(FACTS, "eval/vae/unheard/of") == number({"a": None}, "a") == number({"a": float("nan")}, "a") == "–"
    assert number({"a": -1234.5}, "a", 1) == '<b data-fact="a">−1\u202f234.5</b>'


def test_that_wrong_usage_ends_with_2_and_runs_no_verb(capsys):
    assert main(["--to", "x"], lambda words: pytest.fail(f"{words} was run")) == 2
    assert "--to" in capsys.readouterr().err


def test_that_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["--out", str(tmp_path / "file" / "demo")], lambda words: 0) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "choose another folder with --out" in said


def test_that_a_verb_that_fails_ends_it_in_one_sentence(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "demo")], lambda words: 1) == 1
    assert capsys.readouterr().err == "The demo stops here, because “train” failed.\n"


def test_that_a_training_that_was_stopped_ends_it(tmp_path, capsys):
    def stopped(words: list[str]) -> int:
        print(json.dumps({"status": "stopped", "step": 3}))
        return 0 if words[0] == "train" else pytest.fail(f"{words} was run")

    assert main(["--out", str(tmp_path / "demo")], stopped) == 1
    assert capsys.readouterr().err == "The demo stops here, because “train” was stopped before its end.\n"


TINY = """
import sys
from app.tour.demo import main
from engine.cli import main as run_verb
sys.exit(main(["--out", sys.argv[1]], run_verb, {"vae": 24, "pixel_cnn": 12}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_that_a_tiny_demo_makes_a_page_whose_pictures_and_numbers_are_there(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
    out = tmp_path / "demo"
    command = [sys.executable, "-c", TINY, str(out)]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1180)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    page = (out / "index.html").read_text(encoding="utf-8")
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', page)
    assert len(set(pictures)) >= 20
    assert [name for name in pictures if not (out / name).is_file()] == []
    assert check_numbers(page, json.loads((out / "demo.json").read_text(encoding="utf-8"))) >= 40
    assert "index.html" in answer.stdout and "tour" in answer.stdout.splitlines()[-1]
