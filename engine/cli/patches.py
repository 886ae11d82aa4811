"""The verb `patches`: what a vision transformer looks at, its patch features as colours, and which patches are alike."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.out_file import writable
from engine.cli.parser import VerbParsers, positive_int
from engine.cli.runs import run_path

ONLY = {"layer": "attention", "foreground": "pca"}  # options that one mode alone has


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("patches", patches_run, "Draw what a vision transformer makes of an image's patches.")
    sub.add_argument("--out", required=True, metavar="F.png", help="the picture to write")
    sub.add_argument(
        "--mode",
        choices=("attention", "pca", "similarity"),
        default="attention",
        help="attention maps of every head (when left out), principal components of patch features, or cosines to one patch",
    )
    sub.add_argument("--patch", type=patch, metavar="ROW,COL", help="of attention and similarity: whose; from 0,0 at the top left")
    sub.add_argument("--layer", type=positive_int, metavar="L", help="of attention: from 1; the last when left out")
    sub.add_argument("--foreground", choices=("above", "below"), help="of pca: keep patches above or below 0 on component 1 (DINOv2)")
    sub.add_argument("--data", default="", metavar="D", help="data whose images are taken; the run's own when left out")
    sub.add_argument("--split", default="valid", choices=("train", "valid", "test"), help="whose images")
    image = sub.add_mutually_exclusive_group()
    image.add_argument("--index", type=index, default=0, metavar="I", help="which image of the split, from 0")
    image.add_argument("--image", default="", metavar="FILE", help="an image of your own in place of one of the data")
    sub.add_argument("--limit", type=positive_int, default=12, metavar="N", help="of pca and similarity: how many images, with this one")


def patch(text: str) -> tuple[int, int]:
    """A row and a column, from 0."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"“{text}” is not a row and a column such as 3,5")
    return int(parts[0]), int(parts[1])


def index(text: str) -> int:
    """A place in a split, from 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number from 0")
    return int(text)


def patches_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "step", "step_rule", "mode", …} with the numbers that the window shows. Raises: Usage: options of another mode."""
    o = options
    for name, mode in ONLY.items():
        if getattr(o, name) is not None and o.mode != mode:
            raise Usage(f"--{name} goes with --mode {mode}; leave it out.")
    if o.patch is not None and o.mode == "pca":
        raise Usage("--patch goes with --mode attention or similarity; leave it out.")
    from engine import messages as m
    from engine.evaluation.patches_picture import PatchesWanted, patches_file

    where = {"data": o.data or None, "index": o.index, "split": o.split}
    picture = m.PictureRef(o.image, path=o.image) if o.image else m.PictureRef(f"{o.split} image {o.index}", **where)
    wanted = PatchesWanted(
        run=str(run_path(o)),
        step=o.step,
        mode=o.mode,
        picture=picture,
        data=o.data,
        split=o.split,
        others=o.limit - 1,
        patch=o.patch,
        layer=o.layer or 0,
        foreground=o.foreground or "",
    )
    values = patches_file(wanted, writable(o.out, "--out"), console.follow)
    values["file"] = o.out
    console.say(words(values))
    return values


def words(values: dict[str, Any]) -> str:
    """What was drawn, in lines."""
    head = f"{values['file']}: step {values['step']:,} ({values['step_rule']})"
    if values["mode"] == "attention":
        lines = [f"{head}, attention of {values['query']} in layer {values['layer']} of {values['layers']}"]
        for row in values["heads"]:
            rest = f", {100 * row['no_patch']:.1f} % to {values['no_patch']}" if values["no_patch"] else ""
            name = "mean" if row["head"] == "mean" else f"head {row['head']}"
            lines.append(
                f"{name:<8}entropy {row['entropy']:.2f} of at most {values['max_entropy']:.2f} nats, mean attention distance "
                f"{row['distance']:.2f} patches (even attention: {values['even_distance']:.2f}){rest}"
            )
        return "\n".join(lines)
    if values["mode"] == "pca":
        shares = ", ".join(f"{share:.1%}" for share in values["explained"])
        return f"{head}, principal components of {values['kept']:,} of {values['patches']:,} patches: {shares} of the variance"
    lines = [f"{head}, most similar to the patch in row {values['patch'][0]}, column {values['patch'][1]}:"]
    for match in values["matches"]:
        shown = values["images"][match["image"]]
        where = "this image" if match["image"] == 0 else f"image {shown['index']}, {shown['label']}"
        lines.append(f"{match['cosine']:.4f}  {where}, row {match['row']}, column {match['column']}")
    return "\n".join(lines)
