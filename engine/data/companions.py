"""Pictures that belong to other pictures: masks, depth maps, thumbnails. Told by the names of folders and files alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

from engine.data.path_words import MASK_ENDINGS, folders_of, is_image_word, is_mask_word, split_word, stem_of

Trail = tuple[str, ...]

_PAIRED = 0.8  # of the files of a folder have one of the same name in the other
_FEWEST = 8  # files of the same names that are evidence
_FEW_FOLDERS = 4  # side by side; more of them are classes
_IMAGES = frozenset((
    "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "rgb", "color", "colour", "original", "originals", "orig",
    "raw", "input", "inputs", "hr", "highres", "jpegimages", "leftimg", "frames", "source", "jpg",
))  # fmt: skip
_COMPANIONS = frozenset((
    "mask", "masks", "trimap", "trimaps", "segmentation", "segmentations", "segmented", "seg", "annotation", "annotations", "gt",
    "groundtruth", "label", "labels", "labelmap", "labelmaps", "depth", "depths", "disparity", "disparities", "normals", "edges",
    "contours", "lr", "lowres", "thumb", "thumbs", "thumbnail", "thumbnails", "augmented", "heatmap", "heatmaps", "saliency", "matte",
    "mattes", "flow", "thermal", "infrared", "nir", "instances", "semantic", "gtfine", "gtcoarse",
))  # fmt: skip
_OF_ANOTHER = re.compile(rf"[_\-. ](?:{'|'.join(sorted(_COMPANIONS))})$", re.IGNORECASE)  # behind the name of what it belongs to


@dataclass
class CompanionFiles:
    """The pictures that belong to others, by what they are, and folders that may be pairs."""

    found: list[tuple[list[str], str, str]] = field(default_factory=list)  # (paths, the reason of one, of many: how their sentence ends)
    doubts: list[tuple[str, str]] = field(default_factory=list)  # (a sentence, a pattern that leaves one of the two out)


def companions_of(pictures: list[str]) -> CompanionFiles:
    """Masks in a folder beside one of images, or with “_mask” behind the name of another picture; and what else stands beside images.

    A folder that is called like what belongs to images (labels, depth, LR, thumbnails) is that where the folder beside it is called
    like images and holds files of the same names. Folders with other names whose files are called alike are only said.
    """
    result = CompanionFiles()
    masks = _masks(pictures)
    if masks:
        one, many = "image is a mask of another and was left out", "images are masks of others and were left out"
        result.found.append((masks, one, many))
    without = set(masks)
    for folder, paths in _mirrors([path for path in pictures if path not in without]):
        one = f"image in “{folder}” belongs to one of the same name around that folder and was left out"
        many = f"images in “{folder}” belong to those of the same names around that folder and were left out"
        result.found.append((paths, one, many))
        without.update(paths)
    rest = [path for path in pictures if path not in without]
    for folder, images, paths in _beside_images(rest):
        one = f"image in “{folder}” belongs to one in “{images}” by its name and was left out"
        many = f"images in “{folder}” belong to those in “{images}” by their names and were left out"
        result.found.append((paths, one, many))
        without.update(paths)
    result.doubts = _alike([path for path in rest if path not in without])
    return result


def _masks(pictures: list[str]) -> list[str]:
    beside: dict[Trail, set[str]] = defaultdict(set)
    trails = {folders_of(path) for path in pictures}
    for trail in trails:
        for place, name in enumerate(trail):
            beside[trail[:place]].add(name)

    def in_a_folder_of_masks(trail: Trail) -> bool:
        return any(is_mask_word(name) and any(map(is_image_word, beside[trail[:place]])) for place, name in enumerate(trail))

    folders = {trail for trail in trails if in_a_folder_of_masks(trail)}
    stem_by_path = {path: stem_of(path) for path in pictures}
    stems = set(stem_by_path.values())

    def is_a_mask(path: str) -> bool:
        stem = stem_by_path[path]
        if stem.endswith(MASK_ENDINGS) and any(stem.endswith(end) and stem.removesuffix(end) in stems for end in MASK_ENDINGS):
            return True
        return bool(folders) and folders_of(path) in folders

    return [path for path in pictures if is_a_mask(path)]


def _mirrors(pictures: list[str]) -> list[tuple[str, list[str]]]:
    """(folder, its pictures) of each folder called like what belongs to images, whose pictures lie there as those they belong to lie around
    it: masks/cat/1.png or masks/cat/1_mask.png, and cat/1.png.
    """
    inside: dict[tuple[str, str], list[str]] = defaultdict(list)  # (what stands before such a folder, its name) -> pictures
    outside: set[str] = set()
    for path in pictures:
        trail = folders_of(path)
        place = next((place for place, name in enumerate(trail) if _role(name) == ("companion", "")), None)
        if place is None:
            outside.add(stem_of(path))
        else:
            inside["".join(f"{name}/" for name in trail[:place]), trail[place]].append(path)
    found: list[tuple[str, list[str]]] = []
    for (before, name), paths in sorted(inside.items()):
        stems = (before + stem_of(path)[len(before) + len(name) + 1 :] for path in paths)
        paired = sum(stem in outside or _OF_ANOTHER.sub("", stem) in outside for stem in stems)
        if paired >= _PAIRED * len(paths):
            found.append((before + name, sorted(paths)))
    return found


@lru_cache(4096)
def _role(name: str) -> tuple[str, str]:
    """(“image”, “companion” or “”, the other words of a folder's name)."""
    words = [word for word in re.split(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]+", name) if word]
    plain = [word.lower() for word in words]
    rest = " ".join(word for word in plain if word not in _IMAGES | _COMPANIONS)
    if {"no", "non", "not", "without", "with", "un"} & set(plain):
        return "", name  # with_mask, without_mask: classes
    if any(word in _COMPANIONS for word in plain):
        return "companion", rest
    return ("image", rest) if any(word in _IMAGES for word in plain) else ("", name)


def _children(pictures: Iterable[str], named: bool) -> dict[str, dict[str, list[str]]]:
    """folder -> the folders in it -> all pictures below; where some are called like images and others like their companions (`named`),
    or where they are few.
    """
    inside: dict[str, list[str]] = defaultdict(list)
    for path in pictures:
        inside[path.rpartition("/")[0]].append(path)
    seen: dict[str, set[str]] = defaultdict(set)
    for folder in inside:
        parts = folder.split("/") if folder else []
        for place, name in enumerate(parts):
            seen["/".join(parts[:place])].add(name)
    wanted = {
        parent: names
        for parent, names in seen.items()
        if len(names) > 1 and (len(names) <= _FEW_FOLDERS if not named else {"image", "companion"} <= {_role(name)[0] for name in names})
    }
    found: dict[str, dict[str, list[str]]] = {parent: {name: [] for name in sorted(names)} for parent, names in wanted.items()}
    for folder, paths in inside.items() if found else ():
        parts = folder.split("/") if folder else []
        for place, name in enumerate(parts):
            if (some := found.get("/".join(parts[:place]))) is not None:
                some[name] += paths
    return found


def _names_below(folder: str, name: str, paths: list[str]) -> set[str]:
    """The places of files below a folder, without endings and without what the folder's own name adds (x_leftImg8bit, x_gtFine_ids)."""
    own = re.escape(re.sub(r"[^A-Za-z]+.*$", "", name))
    start = len(folder) + bool(folder) + len(name) + 1
    cut = re.compile(rf"[_\-. ]{own}[^/]*$", re.IGNORECASE) if own else None
    stems = (stem_of(path[start:]) for path in paths)
    return {cut.sub("", stem) if cut else stem for stem in stems}


def _beside_images(pictures: list[str]) -> list[tuple[str, str, list[str]]]:
    """(folder, the folder of images beside it, its pictures) of each folder whose files belong to those of another."""
    found: list[tuple[str, str, list[str]]] = []
    gone: set[str] = set()
    for parent, children in sorted(_children(pictures, named=True).items()):
        below = {name: _names_below(parent, name, paths) for name, paths in children.items()}
        for name in children:
            role, rest = _role(name)
            if role != "companion":
                continue
            images = [other for other in children if _role(other)[0] == "image"]
            partners = [other for other in images if len(below[name] & below[other]) >= _PAIRED * len(below[name])]
            partners.sort(key=lambda other: (_role(other)[1] != rest, other))
            paths = sorted(path for path in children[name] if path not in gone)
            if partners and paths:
                gone.update(paths)
                found.append((f"{parent}/{name}".lstrip("/"), f"{parent}/{partners[0]}".lstrip("/"), paths))
    return found


def _alike(pictures: list[str]) -> list[tuple[str, str]]:
    """Folders side by side whose files have the same names, and those are no running numbers."""
    doubts: list[tuple[str, str]] = []
    for parent, children in sorted(_children(pictures, named=False).items()):
        if any(map(split_word, children)):
            continue
        below = {name: _names_below(parent, name, paths) for name, paths in children.items()}
        for one, other in combinations(sorted(children), 2):
            shared = below[one] & below[other]
            if len(shared) >= max(_FEWEST, _PAIRED * max(len(below[one]), len(below[other]))) and not _running(shared):
                places = [f"{parent}/{name}".lstrip("/") for name in (one, other)]
                words = f"The folders “{places[0]}” and “{places[1]}” hold files of the same names"
                doubts.append((f"{words}: they may be pairs, or one image in two forms, and not classes.", f"{places[1]}/*"))
                break
    return doubts[:3]


def _running(stems: set[str]) -> bool:
    """Whether names are a count, alone or behind one word: 0, 1, 2; img_001, img_002."""
    numbers = defaultdict(set)
    for stem in stems:
        name = stem.rpartition("/")[2]
        match = re.fullmatch(r"(.*?)(\d+)\D*", name)
        if match is None:
            return False
        numbers[stem.rpartition("/")[0], match[1]].add(int(match[2]))
    spread = sum(max(some) - min(some) + 1 for some in numbers.values())
    return len(stems) >= 0.3 * spread and len(numbers) <= len(stems) / 2
