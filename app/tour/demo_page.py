"""The page of the demo: every picture with what is to be seen in it, in words and with the numbers that this run measured.

Plain HTML with its style inside; pictures lie beside it. Each number stands in an element that names its place in demo.json.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from app.shell.formatting import decoded_as

Facts = dict[str, Any]  # what the verbs said, by verb and method

NOTHING = "stranger-nothing"  # the picture of a dark page
SMOOTH = ", smoother than what the model draws"
LEVELS = 16  # values of a pixel that the PixelCNN tells apart


@dataclass(frozen=True)
class DemoPicture:
    name: str
    files: tuple[str, ...]  # one, or (dark, light)
    pixelated: bool = False  # few large pixels: to be enlarged without smoothing


STYLE = """
:root { color-scheme: dark light; --ground: #101217; --panel: #171a21; --line: #2a2f3a; --text: #e7e9ee; --muted: #8d95a5;
  --accent: #8aa4ff; }
@media (prefers-color-scheme: light) { :root { --ground: #f4f5f8; --panel: #fff; --line: #dfe3ea; --text: #1a1d24; --muted: #626b7c;
  --accent: #3f5bd9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.55 Inter, "Segoe UI", system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 48px 24px 96px; }
h1 { font-size: 32px; line-height: 1.2; margin: 0 0 8px; } h2 { font-size: 21px; margin: 64px 0 8px; }
p { max-width: 44em; margin: 8px 0; } .lead, figcaption, th { color: var(--muted); }
b { font-weight: 600; font-variant-numeric: tabular-nums; }
figure { margin: 24px 0 40px; }
figure img { display: block; width: 100%; border: 1px solid var(--line); border-radius: 8px; background: var(--panel); }
figure.small { display: inline-block; vertical-align: top; width: 320px; margin-right: 32px; }
.pixelated img, td img { image-rendering: pixelated; }
figcaption { margin-top: 12px; max-width: 46em; } figcaption b { color: var(--text); }
table { border-collapse: collapse; margin: 16px 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; }
th, td { text-align: left; padding: 8px 16px; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { font-weight: 500; } tr:last-child td { border-bottom: none; } td img { width: 40px; display: block; border-radius: 4px; }
code { background: var(--panel); border: 1px solid var(--line); border-radius: 4px; padding: 1px 6px; }
"""


def look_up(facts: Facts, path: str) -> Any:
    """The value at "eval/vae/nats". Raises: KeyError."""
    value: Any = facts
    for key in path.split("/"):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def number(facts: Facts, path: str, digits: int = 2) -> str:
    """A number of the run as an element that names its place; what was not measured is a dash."""
    try:
        value = look_up(facts, path)
    except (KeyError, IndexError):
        return "–"
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "–"
    shown = f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"
    shown = shown.replace("-", "−").replace(",", "\u202f")
    return f'<b data-fact="{escape(path)}">{shown}</b>'


def write_page(out: Path, facts: Facts, pictures: list[DemoPicture]) -> Path:
    page = out / "index.html"
    page.write_text(html(facts, {picture.name: picture for picture in pictures}), encoding="utf-8")
    return page


def html(facts: Facts, pictures: dict[str, DemoPicture]) -> str:
    def n(path: str, digits: int = 2) -> str:
        return number(facts, path, digits)

    def show(name: str, title: str, words: str, small: bool = False) -> str:
        return figure(pictures[name], title, words, small) if name in pictures else ""

    parts = [
        "<h1>Priorama: a first look</h1>",
        f'<p class="lead">Two small models of 8×8 digits were just trained on this machine, in {n("cpu_seconds", 0)} seconds of processor '
        "time with all that is shown below. Every number on this page was measured in that run.</p>",
        f"<p>{escape(facts['no_window'])}</p>" if "no_window" in facts else "",
        "<h2>What was learned</h2>",
        show(
            "data",
            "The data.",
            "1,797 handwritten digits of 8×8 pixels, each pixel one of 17 greys. A tenth is kept for testing: neither model has seen it. "
            "The pane shows the classes, the splits, and the images as the network will see them.",
        ),
        show(
            "curves",
            "The loss falling.",
            f"The VAE (variational autoencoder) took {n('train/vae/step')} steps. Its loss is an upper bound on what an image costs: "
            f"{n('train/vae/metrics/reconstruction', 1)} nat for the pixels given the code and "
            f"{n('train/vae/metrics/kl', 1)} nat for the code "
            f"itself, {n('train/vae/metrics/loss', 1)} nat in all on its last batch. On {n('eval/vae/images')} test images it is "
            f"{n('eval/vae/elbo_nats', 1)} nat, or {n('eval/vae/nats', 1)} nat by the tighter bound with "
            f"{n('eval/vae/k')} samples per image.",
        ),
        "<h2>A space of images: the VAE</h2>",
        show(
            "samples-vae",
            "Digits that nobody wrote.",
            f"Each is decoded from 16 numbers drawn from a normal distribution.{shown_as(facts)}",
            small=True,
        ),
        show(
            "latent",
            "Two pictures as codes.",
            "Two drawings, a 7 and a 0, were dropped on the window: the encoder turned each into a point of the "
            "latent space. The sliders are "
            f"the coordinates, the ones that carry most information first; between the two lies a path of images.{shown_as(facts)}",
        ),
        show(
            "prior",
            "The prior.",
            f"Points drawn from the standard normal distribution and what the decoder makes of them.{shown_as(facts)}",
        ),
        show(
            "plane",
            "A plane through the space.",
            f"Two coordinates vary, all others stand still: neighbours look alike.{shown_as(facts)}",
        ),
        show(
            "early",
            "The same at an earlier time.",
            f"The time cursor below stands at step {n('early_step')}: every pane draws the checkpoint of that step. Drag it, and watch the "
            "space come into being.",
        ),
        "<h2>Pixel by pixel: the PixelCNN</h2>",
        show(
            "samples-pixel_cnn",
            "Drawn one pixel after another.",
            "Each pixel is drawn from its distribution given all pixels before it, so strokes are sharp.",
            small=True,
        ),
        "<p>A PixelCNN multiplies the probabilities of all pixels, so it can say exactly how likely an image is: after "
        f"{n('train/pixel_cnn/step')} steps {n('eval/pixel_cnn/bits_per_dim')} bits per pixel on {n('eval/pixel_cnn/images')} test images. "
        f"It tells {LEVELS} values apart, so guessing blindly would cost log₂ {LEVELS} = {math.log2(LEVELS):.0f} bits. The VAE knows "
        f"only a bound: at most {n('eval/vae/bits_per_dim')} bits, of 256 values, where guessing costs 8.</p>",
        show(
            "sampling",
            "Samples growing.",
            "The pane draws them before your eyes. Click a pixel to see what else it could have been, and take "
            "another value: the rest grows "
            "anew as a branch.",
        ),
        "<h2>Strangers</h2>",
        "<p>Does a model know what it does not know? These pictures were drawn by hand, dropped, and scored "
        "by the PixelCNN. A p-value is the "
        "share of held-out digits that look at least as strange; below 0.05 is unusual.</p>",
        strangers(facts),
        show(
            "likelihood",
            "How likely is it?",
            f"The same pictures in the window, by every score.{dark_page(facts)} Typicality asks instead whether the likelihood is as high "
            "as usual, neither more nor less.",
        ),
        "<p>With whole data sets instead of single pictures, shrunk to 8×8 grey pixels: the AUROC is the probability that a stranger "
        "gets a stranger score than a digit "
        "(1 tells all, 0.5 is chance, below 0.5 the score is fooled).</p>",
        comparison(facts),
        "<h2>Go on</h2>",
        "<p>On a machine with a screen, <code>python3 run.py</code> opens the window. <code>python3 run.py "
        "tour --out tour</code> photographs "
        "every pane in both themes. <code>python3 run.py --help</code> lists the verbs that made the numbers above; all of them are in "
        '<a href="demo.json" style="color: var(--accent)">demo.json</a>.</p>',
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Priorama: a first look</title>'
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n'


def shown_as(facts: Facts) -> str:
    """What the VAE's decoded images are, as the verb `sample` said; empty where it said nothing."""
    kind = decoded_as(facts.get("sample", {}).get("vae", {}).get("decode") or "")
    return f" Each image is a {kind}{SMOOTH if kind.startswith('mean') else ''}." if kind else ""


def dark_page(facts: Facts) -> str:
    """What became of the picture with nothing on it, where the model finds it likelier than its own test images."""
    images = facts["score"]["pixel_cnn"]["images"]
    at = next((i for i, image in enumerate(images) if Path(image["file"]).stem == NOTHING), None)
    path = f"score/pixel_cnn/images/{at}/scores/log_likelihood/value"
    try:
        score = facts["score"]["pixel_cnn"]["images"][at]["scores"]["log_likelihood"]
        likelier = score["unit"] == "bits/dim" and score["value"] < facts["eval"]["pixel_cnn"]["bits_per_dim"]
    except (KeyError, TypeError):
        return ""
    if not likelier:
        return ""
    stranger, usual = number(facts, path), number(facts, "eval/pixel_cnn/bits_per_dim")
    return (
        f" The dark page with nothing on it costs {stranger} bits per pixel, a test digit {usual} on average: it is likelier than digits, "
        "though it is none. Likelihood alone does not tell strangers."
    )


def figure(picture: DemoPicture, title: str, words: str, small: bool = False) -> str:
    """A picture with its caption; with two files the browser takes the one of its theme."""
    file = picture.files[0]
    shown = f'<img src="{escape(file)}" alt="{escape(title)}">'
    if len(picture.files) > 1:
        shown = f'<picture><source media="(prefers-color-scheme: light)" srcset="{escape(picture.files[1])}">{shown}</picture>'
    kinds = " ".join(kind for kind, wanted in (("small", small), ("pixelated", picture.pixelated)) if wanted)
    return f'<figure class="{kinds}">{shown}<figcaption><b>{title}</b> {words}</figcaption></figure>'


def strangers(facts: Facts) -> str:
    """A row for each picture: its scores and their p-values."""
    images = facts["score"]["pixel_cnn"]["images"]
    detectors = list(dict.fromkeys(name for image in images for name in image.get("scores", {})))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th><th>p</th>" for name in detectors)
    rows = []
    for i, image in enumerate(images):
        cells = []
        for name in detectors:
            at = f"score/pixel_cnn/images/{i}/scores/{name}"
            unit = escape(image.get("scores", {}).get(name, {}).get("unit", ""))
            cells.append(f"<td>{number(facts, f'{at}/value')} {unit}</td><td>{number(facts, f'{at}/p_value', 3)}</td>")
        file = Path(image["file"]).name
        rows.append(f'<tr><td><img src="{escape(file)}" alt="{escape(file)}"></td>{"".join(cells)}</tr>')
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def comparison(facts: Facts) -> str:
    """A row for each data set and detector: AUROC with its 95 % interval and the numbers of images."""
    rows = []
    for data, detectors in facts["ood"]["pixel_cnn"]["results"].items():
        for name in detectors:
            at = f"ood/pixel_cnn/results/{data}/{name}"
            low, high = number(facts, f"{at}/auroc_low", 3), number(facts, f"{at}/auroc_high", 3)
            between = f"{low} to {high}" if "auroc_low" in detectors[name] else "–"
            rows.append(
                f"<tr><td>{escape(data)}</td><td>{escape(name.replace('_', ' '))}</td><td>{number(facts, f'{at}/auroc', 3)}</td>"
                f"<td>{between}</td><td>{number(facts, f'{at}/n_in')} / {number(facts, f'{at}/n_out')}</td></tr>"
            )
    head = "<th>digits against</th><th>score</th><th>AUROC</th><th>95 % interval</th><th>images</th>"
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"
