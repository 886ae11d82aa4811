"""Near duplicates: images that are the same but for recompression, brightness or a slight crop. Found without comparing all pairs.

Every image gets a perceptual hash of 64 bits (which of its lowest cosine coefficients are above their median; Zauner 2010). Hashes that
differ in few bits agree in nearly all bits of one of four bands of 16 (multi-index hashing; Norouzi et al. 2012), so only images with like
bands are compared, and what remains is looked at pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np

from engine.common.counting import is_or_are, number_of
from engine.common.importing import IMPORTING
from engine.common.threads import in_threads
from engine.data.dataset import Joined, Part, Source, Split, Step
from engine.data.fingerprints import CHUNK_BYTES, chunks, contrast_of, lowest_coefficients
from engine.data.limits import DUPLICATES_LISTED
from engine.data.splits import drawn_from
from engine.data.storage import room_for
from engine.data.twins import Numbers, united

BANDS, BAND_BITS = 4, 16
MIDDLE = 31  # place of the median of 63 coefficients
CHUNK = 1 << 17  # of them at once: what fits into a processor's own memory
COMPARED = 150_000_000  # hashes at most; about two seconds. Beyond it the most common bands, which tell least, are not looked at
CUT_SHORT = (
    "So many images look alike that not all were compared for near duplicates; the validation and test figures may be too good by some."
)
CROWD = 500  # images with one band in common; of more, those that are copies of one another are compared with the first of them only
LEADERS = 32  # of one crowd, at most
PAIRS = 200_000  # that are looked at pixel by pixel, the nearest first
LOOKED_AT = 32  # pixels of a side, for that; larger images are averaged
FAINTEST = 2.0  # grey levels of contrast (standard deviation); less of it, and the hash is that of noise
SAMPLE = 1_500  # images that tell how alike the unrelated ones of a set are
SAMPLE_SEED = 20_260_102


@dataclass(frozen=True)
class Rule:
    """How near two images of a set must be."""

    bits: int  # in which their hashes differ at most
    coarse: float  # correlation of their lowest cosine coefficients at least
    fine: float  # correlation of their pixels at least
    bound_bits: int  # what keeps them in one split: the same, for copies beyond doubt
    bound_fine: float


PHOTOGRAPHS = Rule(10, 0.92, 0.85, 4, 0.97)
DRAWINGS = Rule(4, 0.98, 0.98, -1, 1.0)  # digits, letters: unrelated ones are as alike as copies of a photograph, so none is beyond doubt
FEW = 200  # images; below it the sample says nothing, and chance finds no pairs either
UNLIKE = 18  # bits that 99 % of the pairs of a set of photographs differ in at least; CIFAR-10 22, digits and Fashion-MNIST 14, MNIST 12


@dataclass
class NearPairs:
    """Pairs of images [P, 2], numbered over all parts in their order, with the bits their hashes differ in [P], the nearest first."""

    pairs: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    bits: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    bound: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # [P]: near enough to be kept in one split
    stands: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # [T]: for every image the one it was a copy of in a crowd
    notes: list[str] = field(default_factory=list)  # where the comparison was cut short


@dataclass(frozen=True)
class NearCopies:
    """What the report says of near duplicates."""

    count: int  # images that nearly equal an earlier one
    across: int  # test images that nearly equal one that is trained on or validated with
    examples: tuple[tuple[str, str, int], ...]  # (name, name, bits that the hashes differ in)
    notes: list[str]
    leaks: list[str]  # those of them that warn of a held-out figure


def find_near_duplicates(parts: dict[str, Part], twins: Numbers) -> Generator[Step, None, NearPairs]:
    """All pairs of images that are nearly the same; of exact copies, the first stands for all."""
    total = sum(len(part.images) for part in parts.values())
    coefficients, contrast = [], []
    done = 0
    for part in parts.values():
        if (known := part.known_prints()) is not None:
            coefficients.append(known.low)
            contrast.append(known.contrast)
            done += len(part.images)
            continue
        for chunk in chunks(part.images):
            low = lowest_coefficients(chunk)
            coefficients.append(low.astype(np.float16))
            contrast.append(contrast_of(low, chunk))
            done += len(chunk)
            yield Step(done, total, "image", "Looking for near duplicates")
    if not total:
        return NearPairs()
    twin = np.concatenate([twins[name] for name in parts])
    first = np.unique(twin, return_index=True)[1]
    some = np.sort(first[np.concatenate(contrast)[first] >= FAINTEST])  # of all images those that are compared
    low = np.concatenate(coefficients)[some]
    hashes = hashes_of(low)
    rule = rule_for(hashes)
    result = NearPairs()
    first = (yield from _first_of_crowds(hashes, low)) if rule.bound_bits >= 0 else np.arange(len(hashes))
    alone, crowded = (np.flatnonzero((first == np.arange(len(first))) == which) for which in (True, False))
    a, b = yield from _candidates(hashes[alone], rule.bits, result.notes)
    a, b = alone[a], alone[b]
    like = np.concatenate(
        [_correlation(low[a[at : at + 65_536]], low[b[at : at + 65_536]]) >= rule.coarse for at in range(0, len(a), 65_536)]
        or [np.zeros(0, bool)]
    )
    a, b = np.concatenate([first[crowded], a[like]]), np.concatenate([crowded, b[like]])
    bits = np.bitwise_count(hashes[a] ^ hashes[b]).astype(np.int64)
    rows = _linking_first(a, b, bits)
    if len(rows) < len(bits):
        result.notes.append(
            f"Only the nearest {len(rows):,} of {len(bits):,} pairs of similar images were looked at for near duplicates; the validation "
            "and test figures may be too good by others."
        )
    crowd = rows < len(crowded)
    a, b, bits = some[a[rows]], some[b[rows]], bits[rows]
    fine = yield from _fine(parts, a, b)
    near = fine >= rule.fine
    result.stands = np.arange(total)
    result.stands[b[near & crowd]] = a[near & crowd]
    while (further := result.stands[result.stands]).tobytes() != result.stands.tobytes():  # along those that stand for one that stands
        result.stands = further
    result.pairs, result.bits = np.stack([a[near], b[near]], 1), bits[near]
    result.bound = (result.bits <= rule.bound_bits) & (fine[near] >= rule.bound_fine)
    return result


def hashes_of(low: np.ndarray) -> np.ndarray:
    """Perceptual hashes uint64 [N] of coefficients [N, 63]: a bit is set where one is above the median. Brightness changes none."""
    low = low.astype(np.float32)
    high = np.zeros((len(low), 64), np.uint8)
    high[:, 1:] = low > np.partition(low, MIDDLE, axis=1)[:, MIDDLE : MIDDLE + 1]  # the median of an odd number is one of them
    order = np.arange(64).reshape(BAND_BITS, BANDS).T.reshape(-1)  # neighbours fall into different bands
    return np.ascontiguousarray(np.packbits(high[:, order], axis=1)).view(np.uint64).reshape(-1)


def rule_for(hashes: np.ndarray) -> Rule:
    """How near is near in a set: unrelated digits are as alike as copies of a photograph that were cropped a little.

    Told by pairs that are no near duplicates themselves, so that many of them in a set do not undo what protects from them.
    """
    if len(hashes) < FEW:
        return PHOTOGRAPHS
    sample = hashes if len(hashes) <= SAMPLE else np.random.default_rng(SAMPLE_SEED).choice(hashes, SAMPLE, replace=False)
    bits = np.bitwise_count(sample[:, None] ^ sample[None])
    left, alone = np.ones(len(sample), bool), []
    for row in range(len(sample)):  # of copies beyond doubt the first stands for all, else a film of few scenes would pass for digits
        if left[row]:
            alone.append(row)
            left &= bits[row] > PHOTOGRAPHS.bound_bits
    pairs = bits[np.ix_(alone, alone)][np.triu_indices(len(alone), 1)]
    unlike = pairs[pairs > PHOTOGRAPHS.bits]
    return PHOTOGRAPHS if not len(unlike) or np.percentile(unlike, 1) >= UNLIKE else DRAWINGS


def _first_of_crowds(hashes: np.ndarray, low: np.ndarray) -> Generator[Step, None, np.ndarray]:
    """For each of hashes [N] the earlier image int64 [N] that it is a copy of, where one band is common to a crowd; else itself.

    A copy differs from it in as few bits as copies beyond doubt do, and the coefficients [N, 63] correlate as well as their pixels.
    Those that are no copy get a first of their own. So a film of one scene costs as many comparisons as it has images, not their square.
    """
    bands = hashes.view(np.uint16).reshape(-1, BANDS)
    first = np.arange(len(hashes))
    for band in range(BANDS):
        rows = np.flatnonzero(first == np.arange(len(first)))
        rows = rows[np.argsort(bands[rows, band], kind="stable")]
        counts = np.bincount(bands[rows, band], minlength=1 << BAND_BITS)
        ends = np.cumsum(counts)
        for key in np.flatnonzero(counts > CROWD).tolist():
            left = rows[ends[key] - counts[key] : ends[key]]
            for _ in range(LEADERS):
                if len(left) <= CROWD:
                    break
                one, left = left[0], left[1:]
                near = np.flatnonzero(np.bitwise_count(hashes[left] ^ hashes[one]) <= PHOTOGRAPHS.bound_bits)
                near = near[_correlation(low[left[near]], low[one][None]) >= PHOTOGRAPHS.bound_fine]
                first[left[near]] = one
                left = np.delete(left, near)
        yield Step(band, BANDS, "band", "Comparing images")
    return first


def _linking_first(a: np.ndarray, b: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Places int64 [n] of those pairs a < b that are looked at, the nearest first: all, or so many that what is linked stays linked.

    Of too many, the edges of a minimum spanning forest (Kruskal 1956) come in, then the nearest of the others.
    """
    order = np.argsort(bits, kind="stable")
    if len(order) <= PAIRS:
        return order
    with IMPORTING:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import minimum_spanning_tree

    count = int(b.max()) + 1
    forest = minimum_spanning_tree(coo_matrix((bits + 1, (a, b)), (count, count))).tocoo()
    linking = np.isin(a * count + b, forest.row.astype(np.int64) * count + forest.col)[order]
    others = np.flatnonzero(~linking)[: max(0, PAIRS - int(linking.sum()))]
    return order[np.sort(np.concatenate([np.flatnonzero(linking), others]))]


def _candidates(hashes: np.ndarray, most: int, notes: list[str]) -> Generator[Step, None, tuple[np.ndarray, np.ndarray]]:
    """Pairs a < b int64 [P] of hashes that differ in at most `most` bits, each once."""
    bands = hashes.view(np.uint16).reshape(-1, BANDS)
    widest = most // BANDS
    masks = _masks(widest)
    counts = np.stack([np.bincount(bands[:, band], minlength=1 << BAND_BITS) for band in range(BANDS)])  # [4, 65536]
    cap, left_out = int(counts.max(initial=0)), False
    while _comparisons(counts, masks) > COMPARED:
        cap, left_out = cap // 2, True
        counts[counts > cap] = 0
    if left_out:
        notes.append(CUT_SHORT)
    found = [np.zeros(0, np.int64)]
    reach: list[int] = []  # bits that the keys of each band may differ in
    for band in range(BANDS):
        # hashes that differ in 10 bits, 3 in each of three bands, differ in one in the fourth; with keys left out each band stands alone
        reach.append(widest if left_out or band <= most % BANDS else widest - 1)
        order = np.argsort(bands[:, band], kind="stable")
        shelf = _Shelf(hashes[order], bands[order, band], order, counts[band])
        looked = in_threads(partial(shelf.like, most=most), _masks(reach[band]))
        for done, pairs in enumerate(looked):
            if len(pairs):
                found.append(_not_seen(hashes, pairs, counts[:band], reach))
            yield Step(band * len(masks) + done, BANDS * len(masks), "band", "Comparing images")
    pairs = np.sort(np.concatenate(found))
    return pairs // len(hashes), pairs % len(hashes)


def _masks(reach: int) -> list[int]:
    """All numbers of 16 bits of which at most `reach` are set."""
    return [sum(1 << bit for bit in bits) for count in range(reach + 1) for bits in combinations(range(BAND_BITS), count)]


def _comparisons(counts: np.ndarray, masks: list[int]) -> int:
    """How many pairs of hashes have keys that differ by one of the masks; `counts` [4, 65536] are those of each key, by band."""
    total = 0
    for some in counts:
        keys = np.flatnonzero(some)
        total += sum(int(some[keys] @ some[keys ^ mask]) for mask in masks)
    return total


class _Shelf:
    """Hashes uint64 [N] in the order of one of their bands (`keys` uint16 [N]), so that those with one key lie side by side.

    `order` int64 [N] says which image each is, `sizes` [65536] how many have a key; 0 where a key is not looked at.
    """

    def __init__(self, hashes: np.ndarray, keys: np.ndarray, order: np.ndarray, sizes: np.ndarray) -> None:
        self.hashes, self.order, self.sizes = hashes, order, sizes
        self.starts = np.searchsorted(keys, np.arange(len(sizes)).astype(np.uint16))
        self.looking = np.flatnonzero(sizes[keys])
        self.keys = keys[self.looking]
        self.counting = np.arange(CHUNK)

    def like(self, mask: int, most: int) -> np.ndarray:
        """Pairs a < b as a · N + b int64 [n] whose keys differ by the mask and whose hashes differ in at most `most` bits."""
        others = self.keys ^ np.uint16(mask)
        once = self.keys <= others  # each pair of keys from one side; the other finds the same pairs
        looking, others = self.looking[once], others[once]
        counts = self.sizes[others]
        some = np.flatnonzero(counts)
        looking, counts, starts = looking[some], counts[some], self.starts[others[some]]
        ends = np.cumsum(counts)
        at, found = 0, [np.zeros(0, np.int64)]
        while at < len(looking):
            before = int(ends[at - 1]) if at else 0
            stop = max(at + 1, int(np.searchsorted(ends, before + CHUNK, side="right")))
            many, first = counts[at:stop], ends[at:stop] - counts[at:stop] - before
            total = int(ends[stop - 1]) - before
            place = self.counting[:total] if total <= CHUNK else np.arange(total)
            there = place + np.repeat(starts[at:stop] - first, many)
            differing = np.bitwise_count(np.repeat(self.hashes[looking[at:stop]], many) ^ self.hashes[there])
            near = np.flatnonzero(differing <= most)
            if len(near):
                a = self.order[looking[at + np.searchsorted(first, near, side="right") - 1]]
                b = self.order[there[near]]
                if mask:
                    found.append(np.minimum(a, b) * len(self.hashes) + np.maximum(a, b))
                else:  # within one key, each pair is found from both sides, and each image beside itself
                    found.append((a * len(self.hashes) + b)[a < b])
            at = stop
        return np.concatenate(found)


def _not_seen(hashes: np.ndarray, pairs: np.ndarray, earlier: np.ndarray, reach: list[int]) -> np.ndarray:
    """Of pairs a · N + b those that no earlier band has found, whose keys may differ in `reach` bits; its sizes [B, 65536] are 0 where it
    did not look.
    """
    a, b = (hashes[rows].view(np.uint16).reshape(-1, BANDS) for rows in np.divmod(pairs, len(hashes)))
    seen = np.zeros(len(pairs), bool)
    for band, sizes in enumerate(earlier):
        seen |= (np.bitwise_count(a[:, band] ^ b[:, band]) <= reach[band]) & (sizes[a[:, band]] > 0) & (sizes[b[:, band]] > 0)
    return pairs[~seen]


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines [n] between rows of [n, D]."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-6)


def _fine(parts: dict[str, Part], a: np.ndarray, b: np.ndarray) -> Generator[Step, None, np.ndarray]:
    """Correlation [P] of the pixels of images a and b, each channel around its own mean."""
    correlation = np.zeros(len(a))
    if not len(a):
        return correlation
    rows, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    a, b = np.split(places.reshape(-1), 2)
    small = yield from _small(parts, rows)
    size = max(1, (1 << 19) // int(np.prod(small.shape[1:])))

    def pixels(some: np.ndarray) -> np.ndarray:
        found = small[some].astype(np.float32)
        return (found - found.mean((2, 3), keepdims=True)).reshape(len(found), -1)

    for at in range(0, len(a), size):
        correlation[at : at + size] = _correlation(pixels(a[at : at + size]), pixels(b[at : at + size]))
        yield Step(at, len(a), "pair", "Looking at near duplicates")
    return correlation


def _small(parts: dict[str, Part], rows: np.ndarray) -> Generator[Step, None, np.ndarray]:
    """Images uint8 [n, C, h, w] of sides of about 32 pixels at sorted rows int64 [n] over all parts; each is read and averaged once.

    Many of them lie in a mapped file, as the images themselves do.
    """
    room, done, start = None, 0, 0
    for part in parts.values():
        own = rows[(rows >= start) & (rows < start + len(part.images))] - start
        start += len(part.images)
        size = max(1, CHUNK_BYTES // max(1, int(np.prod(part.images.shape[1:]))))
        for at in range(0, len(own), size):
            averaged = _averaged(part.images[own[at : at + size]])
            room = room_for((len(rows), *averaged.shape[1:])) if room is None else room
            room[done : done + len(averaged)] = np.rint(averaged)
            done += len(averaged)
            yield Step(done, len(rows), "image", "Looking at near duplicates")
    return np.zeros((0, 1, 1, 1), np.uint8) if room is None else room


def _averaged(images: np.ndarray) -> np.ndarray:
    """Images [N, C, H, W] with sides of at most about 32 pixels, by averaging whole blocks of them."""
    height, width = images.shape[2:]
    block = max(1, height // LOOKED_AT, width // LOOKED_AT)
    if block == 1:
        return images
    rows, columns = max(1, height // block), max(1, width // block)
    cut = images[:, :, : rows * block, : columns * block] if min(height, width) >= block else images
    return cut.reshape(*images.shape[:2], rows, -1, columns, cut.shape[3] // columns).mean((3, 5))


def bound_groups(parts: dict[str, Part], near: NearPairs, twins: Numbers) -> Numbers | None:
    """Groups of each part int64 [N] that near duplicates beyond doubt, exact copies and what the reader groups make up; None: no pair."""
    pairs = near.pairs[near.bound]
    if not len(pairs):
        return None
    twin = np.concatenate([twins[name] for name in parts])
    given = [part.groups for part in parts.values() if part.groups is not None]
    groups = united(np.concatenate(given), twin) if len(given) == len(parts) else twin
    groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
    while True:  # each round the smaller number goes along every pair
        before = groups.copy()
        least = np.arange(int(groups.max()) + 1)
        a, b = groups[pairs[:, 0]], groups[pairs[:, 1]]
        np.minimum.at(least, np.maximum(a, b), np.minimum(a, b))
        groups = least[groups]
        if np.array_equal(groups, before):
            break
    ends = np.cumsum([len(part.images) for part in parts.values()])
    return dict(zip(parts, np.split(groups, ends[:-1]), strict=True))


def near_copies_of(source: Source, splits: dict[str, Split], near: NearPairs) -> NearCopies:
    """Counts near duplicates within and across the splits of a source."""
    rest = drawn_from(source)
    starts = dict(zip(source.parts, np.cumsum([0, *(len(part.images) for part in source.parts.values())]).tolist(), strict=False))
    total = sum(len(part.images) for part in source.parts.values())
    where, place = np.full(total, -1), np.zeros(total, np.int64)  # number of the split, place over all splits
    at = 0
    for number, (name, split) in enumerate(splits.items()):
        own = name if name in source.parts and name != rest and len(source.parts[name].images) else rest
        where[starts[own] + split.index] = number
        place[starts[own] + split.index] = np.arange(at, at + len(split))
        at += len(split)
    pairs = near.pairs[(where[near.pairs] >= 0).all(1)]
    bits = near.bits[(where[near.pairs] >= 0).all(1)]
    names = Joined([split.names for split in splits.values()])
    order = np.sort(place[pairs], 1)
    number = {name: n for n, name in enumerate(splits)}
    kinds = where[pairs]
    crowds = np.unique(near.stands[near.stands != np.arange(len(near.stands))])
    across = {}
    for name, others in (("valid", ["train"]), ("test", ["train", "valid"])):
        inside, outside = kinds == number[name], np.isin(kinds, [number[other] for other in others])
        found = [pairs[inside[:, one] & outside[:, 1 - one], one] for one in (0, 1)]
        if len(crowds):
            known = np.intersect1d(crowds, near.stands[np.isin(where, [number[other] for other in others])])
            found.append(np.flatnonzero((where == number[name]) & np.isin(near.stands, known)))
        across[name] = len(np.unique(np.concatenate(found)))
    shown = np.argsort(kinds[:, 0] == kinds[:, 1], kind="stable")[:DUPLICATES_LISTED]  # those across splits first, the nearest first
    examples = tuple((names[int(order[row, 0])], names[int(order[row, 1])], int(bits[row])) for row in shown.tolist())
    notes = []
    count = len(np.unique(order[:, 1]))
    if count:
        notes.append(
            f"{number_of(count, 'image')} {is_or_are(count)} nearly the same as another (recompressed, brighter or darker, slightly "
            "cropped); the report names some."
        )
    leaks = list(near.notes)
    for name, what in (("valid", "validation"), ("test", "test")):
        if across[name]:
            trained = "one for training" if name == "valid" else "one for training or validation"
            found = f"{number_of(across[name], f'{what} image')} {is_or_are(across[name])} nearly the same as {trained}"
            leaks.append(f"{found}; the {what} figures may be too good by {'it' if across[name] == 1 else 'these'}.")
    return NearCopies(count, across["test"], examples, [*notes, *leaks], leaks)
