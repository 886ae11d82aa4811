"""Pictures that belong to other pictures, and folders around classes: no class is made of them, and a person can decide otherwise."""

from __future__ import annotations

import pytest

from engine.data.layout import Layout, understand
from engine.data.left_out import matching
from engine.data.recipe import ImportRecipe
from tests.engine.data.test_layout import look, tree
from tests.engine.data.test_layout_splits import read

EIGHT = range(8)


def gone(layout: Layout) -> int:
    return sum(some.count for some in layout.left_out)


# -- pairs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "others"),
    [
        ("images/{n}.png", ["labels/{n}.png"]),
        ("original/{n}.png", ["mask_gt/{n}.png"]),
        ("rgb/{n}.png", ["depth/{n}.png", "normals/{n}.png"]),
        ("HR/{n}.png", ["LR/{n}.png"]),
        ("set/JPEGImages/2007_{n:06}.jpg", ["set/SegmentationObject/2007_{n:06}.png", "set/SegmentationClass/2007_{n:06}.png"]),
        ("imgs/a/{n}.png", ["thumbnails/a/{n}.png"]),
        ("leftImg8bit/b_{n:06}_leftImg8bit.png", ["gtFine/b_{n:06}_gtFine_labelIds.png", "gtFine/b_{n:06}_gtFine_color.png"]),
    ],
)
def test_that_what_stands_beside_images_is_no_class(images: str, others: list[str]) -> None:
    mine = [images.format(n=n) for n in EIGHT]
    theirs = [other.format(n=n) for other in others for n in EIGHT]
    layout = look(mine + theirs)
    assert sorted(read(layout)) == sorted(mine) and set(read(layout).values()) == {("all", "")}
    assert gone(layout) == len(theirs)
    assert all(any(path in note for note in layout.said()) for path in (theirs[0],))


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("train/{kind}/leaf_{n:03}.png", "train/masks/{kind}/leaf_{n:03}_mask.png"),
        ("train/{kind}/leaf_{n:03}.png", "train/Masks/{kind}/leaf_{n:03}.png"),
        ("{kind}/{n}.jpg", "segmentations/{kind}/{n}_seg.png"),
        ("{kind}/{n}.jpg", "{kind}/mask/{n}.png"),
    ],
)
def test_that_masks_in_a_folder_among_the_classes_are_no_class(mine: str, theirs: str) -> None:
    kinds = ("healthy", "rust", "spot")
    images = {mine.format(kind=kind, n=n): kind for kind in kinds for n in EIGHT}
    masks = [theirs.format(kind=kind, n=n) for kind in kinds for n in EIGHT]
    layout = look([*images, *masks])
    assert {path: label for path, (_, label) in read(layout).items()} == images and gone(layout) == len(masks)
    assert read(look([*images, *masks], ImportRecipe(keep=("*mask*", "*Mask*", "*seg*")))).keys() == {*images, *masks}


def test_that_a_class_called_like_masks_without_a_mirror_stays_a_class() -> None:
    images = [f"{kind}/{kind}_{n}.png" for kind in ("masks", "helmets", "gloves") for n in EIGHT]
    assert {label for _, label in read(look(images)).values()} == {"masks", "helmets", "gloves"}


@pytest.mark.parametrize("place", ["{what}/{split}/{n}.png", "{split}/{what}/{n}.png", "{split}_{what}/{n}.png"])
@pytest.mark.parametrize("what", ["labels", "depth", "masks"])
def test_that_pairs_keep_their_splits(place: str, what: str) -> None:
    mine = {place.format(what="images", split=split, n=f"{split}{n}"): (split, "") for split in ("train", "test") for n in EIGHT}
    theirs = [place.format(what=what, split=split, n=f"{split}{n}") for split in ("train", "test") for n in EIGHT]
    assert read(look([*mine, *theirs])) == mine


@pytest.mark.parametrize(
    "names",
    [
        ("mask", "no_mask"),
        ("with_mask", "without_mask"),
        ("drawings", "photos"),
        ("label", "box"),
        ("depth", "surface"),
        ("Mask", "Non Mask"),
    ],
)
def test_that_classes_of_such_names_stay_classes(names: tuple[str, str]) -> None:
    expected = {f"{name}/{n}.png": ("all", name) for name in names for n in EIGHT}
    assert read(look(list(expected))) == expected


def test_that_names_alone_make_no_pairs_and_files_of_other_names_are_no_companions() -> None:
    expected = {f"{name}/{start + n}.png": ("all", name) for name, start in (("photos", 0), ("labels", 100)) for n in EIGHT}
    assert read(look(list(expected))) == expected


def test_that_folders_of_files_with_the_same_names_are_said_and_can_be_left_out() -> None:
    stems = [f"scene_{n * n * 37 + 5}" for n in range(12)]
    paths = [f"{season}/{stem}.png" for season in ("summer", "winter") for stem in stems]
    layout = look(paths)
    ((words, decision, value, _),) = layout.doubts
    assert "“summer”" in words and "“winter”" in words and (decision, value) == ("leave_out", "winter/*")
    left = look(paths, ImportRecipe(leave_out=(value,)))
    assert {path.split("/")[0] for path in read(left)} == {"summer"} and not left.doubts
    assert not look(tree("summer|winter/img_#.png", count=12)).doubts  # a count says nothing


# -- folders around classes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (tuple(f"{10253 + 3 * n}" for n in range(7)), ("0", "1")),  # patients
        (("fold1", "fold2", "fold3"), ("a", "b")),
        (("ds1", "ds2"), ("x", "y")),
        (("224", "64"), ("a", "b")),
        (("2019", "2020"), ("wheat", "rye")),
        (("images_background", "images_evaluation"), ("Greek", "Latin")),
        (("photo", "sketch"), ("dog", "horse", "house")),
    ],
)
@pytest.mark.parametrize("top", ["", "train/"])
def test_that_a_series_of_folders_is_around_the_classes(outer: tuple[str, ...], inner: tuple[str, ...], top: str) -> None:
    expected = {f"set/{top}{one}/{label}/{n}.png": (top[:-1] or "all", label) for one in outer for label in inner for n in range(3)}
    if top:
        expected |= {f"set/test/{outer[0]}/{label}/{n}.png": ("test", label) for label in inner for n in range(3)}
    layout = look(list(expected))
    assert read(layout) == expected and any("class level 1" in note for note in layout.notes)
    other = look(list(expected), ImportRecipe(class_level=1))
    assert {label for _, label in read(other).values()} == set(outer)


def test_that_patients_who_lack_a_class_are_still_around_the_classes() -> None:
    expected = {
        f"p{n}/{label}/{i}.png": ("all", label) for n in range(9) for label in ("ill", "well") for i in range(3) if n % 3 or label == "ill"
    }
    assert read(look(list(expected))) == expected


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (("0", "1", "2"), ("left", "right")),
        (("class1", "class2", "class3"), ("front", "back")),
        (("n01440764", "n02102040"), ("a", "b")),
        (("apple", "pear", "plum"), ("fresh", "rotten")),
    ],
)
def test_that_outer_classes_stay_and_that_the_other_reading_is_offered(outer: tuple[str, ...], inner: tuple[str, ...]) -> None:
    expected = {f"{one}/{label}/{n}.png": ("all", one) for one in outer for label in inner for n in range(3)}
    layout = look(list(expected))
    assert read(layout) == expected
    ((words, decision, value, _),) = layout.doubts
    assert all(f"“{name}”" in words for name in (*outer, *inner)) and (decision, value) == ("class_level", "2")
    other = look(list(expected), ImportRecipe(class_level=2))
    assert {label for _, label in read(other).values()} == set(inner) and not other.doubts


def test_that_different_folders_within_classes_are_no_doubt() -> None:
    expected = {f"{one}/{one} {n}/{i}.png": ("all", one) for one in ("cats", "dogs") for n in range(3) for i in range(3)}
    layout = look(list(expected))
    assert read(layout) == expected and not layout.doubts


def test_that_a_folder_around_classes_can_be_the_group() -> None:
    paths = [f"{10250 + 7 * patient}/{label}/{n}.png" for patient in range(6) for label in "01" for n in range(3)]
    layout = look(paths)
    assert layout.grouping.likely == "folder" and not layout.grouping.of
    grouped = look(paths, ImportRecipe(group="folder"))
    assert {file.path: file.group for file in grouped.files} == {path: path.split("/")[0] for path in paths}
    assert {file.path: file.label for file in grouped.files} == {path: path.split("/")[1] for path in paths}


def test_that_cities_of_which_none_is_in_both_splits_are_no_class_and_no_image_is_lost() -> None:
    expected = {f"{split}/{city}/{n}.png": (split, "") for split, city in (("train", "aachen"), ("val", "bonn")) for n in EIGHT}
    expected = {path: ("valid" if split == "val" else split, label) for path, (split, label) in expected.items()}
    assert read(look(list(expected))) == expected


# -- what a rule leaves out can be taken back --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "label"),
    [
        (tree("cats|dogs/#.png", "cats|dogs/#_label.png"), ""),
        (tree("images|masks/#.png", count=9), "masks"),
        (tree("train|test/cats|dogs/#.png", "extra/cats/#.png"), "cats"),
        (tree("train|test/images/a|b/#.png", "depth/#.png", "a,[b]/a/#.png"), "a"),
    ],
)
def test_that_the_offered_patterns_take_back_what_was_left_out(paths: list[str], label: str) -> None:
    layout = look(paths)
    assert gone(layout) > 0 and len(layout.files) + gone(layout) == len(paths)
    keep = tuple(pattern for some in layout.left_out for pattern in some.keep)
    back = look(paths, ImportRecipe(keep=keep))
    taken = set(read(back)) - set(read(layout))
    assert taken and taken == matching(paths, keep) & set(read(back)) and not [some for some in back.left_out if some.keep]
    assert all(read(back)[path][0] in ("train", "all") for path in taken)  # never into a split that nobody named
    assert not label or label in {read(back)[path][1] for path in taken}


def test_that_what_a_person_leaves_out_stays_out_and_other_files_offer_nothing() -> None:
    paths = [*tree("train|test/cats|dogs/#.png", "extra/cats/#.png"), "weights.pth"]
    layout = look(paths, ImportRecipe(keep=("extra/*",), leave_out=("extra/cats/0.png",)))
    assert "extra/cats/0.png" not in read(layout) and read(layout)["extra/cats/1.png"] == ("train", "cats")
    (other,) = [some for some in layout.left_out if some.examples == ("weights.pth",)]
    assert other.keep == ()


def test_that_no_test_image_is_taken_back_into_training() -> None:
    """Images of a test folder that have no class cannot be kept, whatever is asked for."""
    paths = tree("train/cats|dogs/#.png", "test/#.png")
    layout = understand(paths, ImportRecipe(keep=("*",)), lambda path: None)
    assert {split for split, _ in read(layout).values()} == {"train"} and gone(layout) == 4


# -- what nobody sees --------------------------------------------------------------------------------------------------------


def test_that_hidden_folders_and_empty_ones_are_named() -> None:
    paths = tree("a|b/#.png", "notes/#.txt")
    layout = understand(
        paths, ImportRecipe(), lambda path: None, [".DS_Store", "a/.DS_Store", "._a", ".hidden", "b/.old"], empty=["c", "a/x"]
    )
    said = "\n".join(layout.said())
    assert "3 files or folders of the system were left out: ._a, .DS_Store" in said or "of the system were left out: .DS_Store, ._a" in said
    assert "2 hidden files or folders" in said and ".hidden, b/.old" in said
    assert "No image lies in “c”, “notes” beside the class folders" in said
    assert not understand(tree("a|b/#.png"), ImportRecipe(), lambda path: None).notes
