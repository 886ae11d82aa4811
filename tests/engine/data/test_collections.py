"""Well-known public collections, rebuilt in small from their descriptions: the right classes and splits at the first try.

What should come out is written beside each by hand: how many images each class has in each split, and by name which images are held out,
so that no test image can hide among those that are trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import DataSet, open_data

Counts = dict[str, dict[str, int]]  # split -> class -> images; a split that is not given is drawn from those to train on


class Tree:
    """Writes pictures, no two alike, and texts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made = 0
        self.held: dict[str, set[str]] = {}  # split -> the pictures that the collection holds out for it

    def pictures(self, *paths: str) -> None:
        for path in paths:
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(self.made).integers(0, 256, (16, 16, 3), np.uint8)
            self.made += 1
            with file.open("wb") as stream:
                Image.fromarray(noise).save(stream, "PNG")

    def holds(self, split: str, *paths: str) -> None:
        """Say that pictures are held out, below the root."""
        self.held.setdefault(split, set()).update(paths)

    def text(self, path: str, *lines: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def counts(data: DataSet) -> Counts:
    found: Counts = {}
    for name, split in data.splits.items():
        labels = ["" for _ in split.names] if split.labels is None else [data.classes[n] for n in split.labels]
        for label, number in Counter(labels).items():
            mine = found.setdefault(name, {})
            mine[label] = mine.get(label, 0) + number
    return found


def imagenette(tree: Tree) -> Counts:
    for wnid in ("n01440764", "n02102040", "n02979186"):
        tree.pictures(*(f"imagenette2-160/train/{wnid}/{wnid}_{n}.JPEG" for n in range(8)))
        held = [f"imagenette2-160/val/{wnid}/ILSVRC2012_val_{wnid[-3:]}{n:05}.JPEG" for n in range(3)]
        tree.pictures(*held)
        tree.holds("valid", *held)
    tree.text(
        "imagenette2-160/noisy_imagenette.csv", "path,noisy_labels_0,noisy_labels_1,is_valid", "train/n01440764/n01440764_1.JPEG,a,b,False"
    )
    return {split: dict.fromkeys(("n01440764", "n02102040", "n02979186"), number) for split, number in (("train", 8), ("valid", 3))}


def oxford_pet(tree: Tree) -> Counts:
    breeds = ("Abyssinian", "american_bulldog", "Bengal")
    for breed in breeds:
        tree.pictures(*(f"images/{breed}_{n}.jpg" for n in range(1, 9)), *(f"annotations/trimaps/{breed}_{n}.png" for n in range(1, 9)))
        tree.text(f"annotations/xmls/{breed}_1.xml", "<annotation/>")
    line = {breed: f"{place + 1} {2 if place == 1 else 1} {place + 1}" for place, breed in enumerate(breeds)}
    tree.text("annotations/trainval.txt", *(f"{breed}_{n} {line[breed]}" for breed in breeds for n in range(1, 6)))
    tree.holds("test", *(f"images/{breed}_{n}.jpg" for breed in breeds for n in range(6, 9)))
    tree.text("annotations/test.txt", *(f"{breed}_{n} {line[breed]}" for breed in breeds for n in range(6, 9)))
    head = ("#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", "#SPECIES: 1:Cat 2:Dog")
    tree.text("annotations/list.txt", *head, *(f"{breed}_{n} {line[breed]}" for breed in breeds for n in range(1, 9)))
    tree.text("annotations/README", "words")
    return {"train": dict.fromkeys(breeds, 5), "test": dict.fromkeys(breeds, 3)}


def ham10000(tree: Tree) -> Counts:
    kinds = ("nv", "mel", "bkl", "nv")
    rows = []
    for n in range(24):
        tree.pictures(f"HAM10000_images_part_{n % 2 + 1}/ISIC_{24306 + n:07}.jpg")
        rows.append(f"HAM_{n:07},ISIC_{24306 + n:07},{kinds[n % 4]},histo,{40 + n % 5}.0,male,scalp")
    tree.text("HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", *rows)
    tree.text("hmnist_8_8_L.csv", ",".join(f"pixel{n:04}" for n in range(64)) + ",label", *[",".join(["7"] * 64) + ",2"] * 24)
    return {"train": {"nv": 12, "mel": 6, "bkl": 6}}


def cub_200(tree: Tree) -> Counts:
    birds = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")
    files = [f"{bird}/{bird[4:]}_{n:04}_{796000 + n}.jpg" for bird in birds for n in range(6)]
    tree.pictures(*(f"CUB_200_2011/images/{file}" for file in files))
    tree.text("CUB_200_2011/images.txt", *(f"{n + 1} {file}" for n, file in enumerate(files)))
    tree.text("CUB_200_2011/image_class_labels.txt", *(f"{n + 1} {n // 6 + 1}" for n in range(len(files))))
    tree.text("CUB_200_2011/train_test_split.txt", *(f"{n + 1} {0 if n % 6 > 3 else 1}" for n in range(len(files))))
    tree.holds("test", *(f"CUB_200_2011/images/{file}" for n, file in enumerate(files) if n % 6 > 3))
    tree.text("CUB_200_2011/bounding_boxes.txt", *(f"{n + 1} 60.0 27.0 325.0 304.0" for n in range(len(files))))
    tree.text("CUB_200_2011/classes.txt", *(f"{n + 1} {bird}" for n, bird in enumerate(birds)))
    tree.text("CUB_200_2011/attributes/class_attribute_labels_continuous.txt", "0.0 1.2 3.4")
    tree.text("CUB_200_2011/parts/part_locs.txt", *(f"{n + 1} {part} 312.0 182.0 1" for n in range(len(files)) for part in (1, 2)))
    tree.text("attributes.txt", "1 has_bill_shape::curved", "2 has_bill_shape::dagger")
    return {"train": dict.fromkeys(birds, 4), "test": dict.fromkeys(birds, 2)}


def tiny_imagenet(tree: Tree) -> Counts:
    wnids = ("n01443537", "n01629819", "n01641577")
    for wnid in wnids:
        tree.pictures(*(f"tiny-imagenet-200/train/{wnid}/images/{wnid}_{n}.JPEG" for n in range(8)))
        tree.text(f"tiny-imagenet-200/train/{wnid}/{wnid}_boxes.txt", *(f"{wnid}_{n}.JPEG\t0\t10\t63\t58" for n in range(8)))
    tree.pictures(
        *(f"tiny-imagenet-200/val/images/val_{n}.JPEG" for n in range(6)),
        *(f"tiny-imagenet-200/test/images/test_{n}.JPEG" for n in range(4)),
    )
    tree.holds("valid", *(f"tiny-imagenet-200/val/images/val_{n}.JPEG" for n in range(6)))
    tree.text("tiny-imagenet-200/val/val_annotations.txt", *(f"val_{n}.JPEG\t{wnids[n % 3]}\t0\t32\t44\t62" for n in range(6)))
    tree.text("tiny-imagenet-200/wnids.txt", *wnids)
    tree.text("tiny-imagenet-200/words.txt", *(f"{wnid}\tgoldfish, Carassius auratus" for wnid in wnids))
    return {"train": dict.fromkeys(wnids, 8), "valid": dict.fromkeys(wnids, 2)}


def chest_xray(tree: Tree) -> Counts:
    for split, number in (("train", 8), ("test", 3), ("val", 2)):
        for kind in ("NORMAL", "PNEUMONIA"):
            pictures = [f"chest_xray/chest_xray/{split}/{kind}/{kind[0]}M-{n:04}-0001.jpeg" for n in range(number)]
            tree.pictures(*pictures)
            if split != "train":
                tree.holds({"val": "valid"}.get(split, split), *pictures)
            tree.text(f"chest_xray/__MACOSX/chest_xray/{split}/{kind}/._{kind[0]}M-0000-0001.jpeg", "litter")
    return {split: {"NORMAL": number, "PNEUMONIA": number} for split, number in (("train", 8), ("valid", 2), ("test", 3))}


def eurosat(tree: Tree) -> Counts:
    kinds = ("AnnualCrop", "Forest", "SeaLake")
    rows: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for place, kind in enumerate(kinds):
        tree.pictures(*(f"EuroSAT/{kind}/{kind}_{n}.jpg" for n in range(10)))
        for n in range(10):
            split = "train" if n < 6 else "validation" if n < 8 else "test"
            rows[split].append(f"{place * 10 + n},{kind}/{kind}_{n}.jpg,{place},{kind}")
            if n >= 6:
                tree.holds("valid" if n < 8 else "test", f"EuroSAT/{kind}/{kind}_{n}.jpg")
    for split, some in rows.items():
        tree.text(f"EuroSAT/{split}.csv", ",Filename,Label,ClassName", *some)
    tree.text("EuroSAT/label_map.json", '{"AnnualCrop": 0, "Forest": 1, "SeaLake": 2}')
    return {"train": dict.fromkeys(kinds, 6), "valid": dict.fromkeys(kinds, 2), "test": dict.fromkeys(kinds, 2)}


def caltech_101(tree: Tree) -> Counts:
    kinds = ("BACKGROUND_Google", "Faces", "accordion")
    for kind in kinds:
        tree.pictures(*(f"caltech-101/101_ObjectCategories/{kind}/image_{n:04}.jpg" for n in range(8)))
        tree.text(f"caltech-101/Annotations/{kind}/annotation_0001.mat", "MATLAB")
    return {"train": dict.fromkeys(kinds, 8)}


def food_101(tree: Tree) -> Counts:
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for dish in ("apple_pie", "baklava"):
        for n in range(8):
            tree.pictures(f"food-101/images/{dish}/{1005649 + n}.jpg")
            lists["train" if n < 6 else "test"].append(f"{dish}/{1005649 + n}")
            if n >= 6:
                tree.holds("test", f"food-101/images/{dish}/{1005649 + n}.jpg")
    for split, some in lists.items():
        tree.text(f"food-101/meta/{split}.txt", *some)
        tree.text(f"food-101/meta/{split}.json", '{"apple_pie": ["' + '", "'.join(some) + '"]}')
    tree.text("food-101/meta/classes.txt", "apple_pie", "baklava")
    tree.text("food-101/meta/labels.txt", "Apple pie", "Baklava")
    return {"train": {"apple_pie": 6, "baklava": 6}, "test": {"apple_pie": 2, "baklava": 2}}


def pacs(tree: Tree) -> Counts:
    kinds = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    for domain in ("art_painting", "cartoon", "photo", "sketch"):
        tree.pictures(*(f"PACS/{domain}/{kind}/pic_{n:03}.jpg" for kind in kinds for n in range(2)))
    return {"train": dict.fromkeys(kinds, 8)}


def stanford_cars(tree: Tree) -> Counts:
    tree.pictures(*(f"cars_train/{n:05}.jpg" for n in range(1, 9)), *(f"cars_test/{n:05}.jpg" for n in range(1, 5)))
    tree.holds("test", *(f"cars_test/{n:05}.jpg" for n in range(1, 5)))
    tree.text("devkit/cars_train_annos.mat", "MATLAB 5.0 MAT-file")
    tree.text("devkit/README.txt", "words")
    return {"train": {"": 8}, "test": {"": 4}}


def stanford_dogs(tree: Tree) -> Counts:
    dogs = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    for dog in dogs:
        tree.pictures(*(f"images/Images/{dog}/{dog[:9]}_{n}.jpg" for n in range(6)))
        for n in range(6):
            tree.text(f"annotations/Annotation/{dog}/{dog[:9]}_{n}", "<annotation/>")  # XML without an ending
    return {"train": dict.fromkeys(dogs, 6)}


def dtd(tree: Tree) -> Counts:
    for kind in ("banded", "blotchy"):
        tree.pictures(*(f"dtd/images/{kind}/{kind}_{n:04}.jpg" for n in range(9)))
    for fold in range(1, 4):
        for place, split in enumerate(("train", "val", "test")):
            names = [f"{kind}/{kind}_{n:04}.jpg" for kind in ("banded", "blotchy") for n in range(9) if (n + fold) % 3 == place]
            tree.text(f"dtd/labels/{split}{fold}.txt", *names)
            if fold == 1 and split != "train":
                tree.holds({"val": "valid"}.get(split, split), *(f"dtd/images/{name}" for name in names))
    return {split: {"banded": 3, "blotchy": 3} for split in ("train", "valid", "test")}


def mit_indoor(tree: Tree) -> Counts:
    for room in ("airport_inside", "bakery"):
        tree.pictures(*(f"Images/{room}/{room[:3]}{n}.jpg" for n in range(7)))
    tree.text("TrainImages.txt", *(f"{room}/{room[:3]}{n}.jpg" for room in ("airport_inside", "bakery") for n in range(5)))
    tree.text("TestImages.txt", *(f"{room}/{room[:3]}{n}.jpg" for room in ("airport_inside", "bakery") for n in range(5, 7)))
    tree.holds("test", *(f"Images/{room}/{room[:3]}{n}.jpg" for room in ("airport_inside", "bakery") for n in range(5, 7)))
    return {"train": {"airport_inside": 5, "bakery": 5}, "test": {"airport_inside": 2, "bakery": 2}}


def celeba(tree: Tree) -> Counts:
    tree.pictures(*(f"img_align_celeba/img_align_celeba/{n:06}.jpg" for n in range(1, 25)))
    tree.text("list_eval_partition.csv", "image_id,partition", *(f"{n:06}.jpg,{0 if n < 17 else 1 if n < 21 else 2}" for n in range(1, 25)))
    rows = (f"{n:06}.jpg,{1 if n % 2 else -1},{1 if n % 3 else -1}" for n in range(1, 25))
    tree.text("list_attr_celeba.csv", "image_id,Smiling,Young", *rows)
    for split, numbers in (("valid", range(17, 21)), ("test", range(21, 25))):
        tree.holds(split, *(f"img_align_celeba/img_align_celeba/{n:06}.jpg" for n in numbers))
    return {"train": {"": 16}, "valid": {"": 4}, "test": {"": 4}}


def gtsrb(tree: Tree) -> Counts:
    rows: dict[str, list[str]] = {"Train": [], "Test": []}
    for kind in range(3):
        for n in range(5):
            tree.pictures(f"Train/{kind}/{kind:05}_{n:05}.png")
            rows["Train"].append(f"27,26,5,5,22,20,{kind},Train/{kind}/{kind:05}_{n:05}.png")
    for n in range(6):
        tree.pictures(f"Test/{n:05}.png")
        tree.holds("test", f"Test/{n:05}.png")
        rows["Test"].append(f"53,54,6,5,48,49,{n % 3},Test/{n:05}.png")
    for split, some in rows.items():
        tree.text(f"{split}.csv", "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path", *some)
    return {"train": dict.fromkeys("012", 5), "test": dict.fromkeys("012", 2)}


@pytest.mark.parametrize(
    "collection",
    [
        imagenette, oxford_pet, ham10000, cub_200, tiny_imagenet, chest_xray, eurosat, caltech_101, food_101, pacs, stanford_cars,
        stanford_dogs, dtd, mit_indoor, celeba, gtsrb,
    ],
    ids=lambda one: one.__name__,
)  # fmt: skip
def test_that_a_collection_has_its_classes_and_splits_at_the_first_try(tmp_path: Path, collection: Callable[[Tree], Counts]) -> None:
    tree = Tree(tmp_path / "set")
    expected = collection(tree)
    data = open_data(str(tree.root))
    found: Counts = {}
    for name, classes in counts(data).items():  # a split that is not given was drawn from those to train on
        for label, number in classes.items():
            mine = found.setdefault(name if name in expected else "train", {})
            mine[label] = mine.get(label, 0) + number
    assert found == expected, data.report.notes
    assert set(tree.held) == set(expected) - {"train"}
    for split, held in tree.held.items():
        assert set(data.splits[split].names) == held, split
    assert data.report.bad_total == 0, data.report.bad


def test_that_what_is_no_class_or_was_decided_is_said(tmp_path: Path) -> None:
    for collection, words in (
        (caltech_101, "BACKGROUND_Google"),
        (pacs, "class level 1"),
        (dtd, "other numbers"),
        (celeba, "(0 train, 1 valid"),
    ):
        collection(Tree(tmp_path / collection.__name__))
        assert any(words in note for note in open_data(str(tmp_path / collection.__name__)).report.notes), collection.__name__


def test_that_files_beside_the_images_are_named_by_what_they_are_for(tmp_path: Path) -> None:
    for collection, expected in (
        (
            cub_200,
            (
                "Read beside the images: CUB_200_2011/images.txt for the numbers of the images, "
                "CUB_200_2011/train_test_split.txt for the splits.",
                "bounding boxes (CUB_200_2011/bounding_boxes.txt)",
                "parts and key points (CUB_200_2011/parts/part_locs.txt)",
                "names of classes (CUB_200_2011/classes.txt)",
                "classes that can be chosen (CUB_200_2011/image_class_labels.txt)",
                "attributes (CUB_200_2011/attributes/class_attribute_labels_continuous.txt, attributes.txt)",
            ),
        ),
        (tiny_imagenet, ("bounding boxes (tiny-imagenet-200/train/n01443537/n01443537_boxes.txt",)),
        (celeba, ("Read beside the images: list_eval_partition.csv for the splits.", "attributes (list_attr_celeba.csv)")),
        (stanford_cars, ("words about the set (devkit/README.txt)",)),
        (gtsrb, ("Test.csv", "for the classes")),
    ):
        root = tmp_path / collection.__name__
        collection(Tree(root))
        report = open_data(str(root)).report
        said = " ".join(note for note in report.notes if note.startswith(("Read beside", "Not needed")))
        for part in expected:
            assert part in said, (collection.__name__, part, said)
        assert report.understood is not None
        for some in report.understood.left_out:
            assert not any(name.endswith((".txt", ".csv")) for name in some.examples), (collection.__name__, some.examples)


def test_that_notes_on_single_images_are_not_needed_and_unknown_files_are_left_out(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "set")
    tree.pictures(*(f"images/{n:03}.jpg" for n in range(8)))
    for n in range(8):
        tree.text(f"labels/{n:03}.txt", "0 0.5 0.5 0.1 0.1")  # as YOLO has them
    tree.text("films.mp4", "no film")
    tree.text("LICENSE", "free")
    report = open_data(str(tmp_path / "set")).report
    said = next(note for note in report.notes if note.startswith("Not needed"))
    assert "notes on single images (labels/000.txt, labels/001.txt, labels/002.txt and 5 more)" in said
    assert "words about the set (LICENSE)" in said
    assert report.understood is not None
    assert [(some.count, some.examples, some.reason) for some in report.understood.left_out] == [
        (1, ("films.mp4",), "file that is no image by its name was left out")
    ]
