"""Every limit that foreign data meet, with its reason. Nothing here is imported from elsewhere in the project."""

from __future__ import annotations

MIB = 1 << 20

# One image file
MAX_FILE_BYTES = 64 * MIB
MAX_PIXELS = 50_000_000  # a 48-megapixel photograph passes; about 200 MB while it is decoded
MAX_FRAMES = 10_000  # only the first is shown; the rest is merely counted
LONGEST_SIDE = 1024  # larger pictures are scaled down to it before anything else sees them
DECODE_SECONDS = 2.0
DECODE_BYTES = 1024 * MIB  # address space of the decoding process, its libraries included

# What the networks take
SMALLEST_SIDE = 8
LARGEST_SIDE = 64

# A data set
MIN_IMAGES = 3  # one to train on, one to validate, one to test
MAX_SET_BYTES = 16 * 1024 * MIB  # of uint8 pixels
IN_MEMORY_BYTES = 512 * MIB  # what is larger is mapped from a file
MAX_FILES = 2_000_000
MAX_DEPTH = 32  # folders within folders
MAX_TEXT_BYTES = 256 * MIB
MAX_SHAPES = 1_000_000
BAD_LISTED = 500
DUPLICATES_LISTED = 20

# Archives and pickles
MAX_ZIP_ENTRIES = 10_000
MAX_ZIP_DIRECTORY_BYTES = 4 * MIB
MAX_ZIP_RATIO = 200  # bytes unpacked per byte packed; photographs reach 2, drawings 20
MAX_HEADER_BYTES = 64 * 1024  # of an .npy array
MAX_PICKLE_BYTES = 256 * MIB  # CIFAR-100's largest batch has 155 MB
MAX_PICKLE_VALUES = 1_000_000  # CIFAR-100's largest batch has 150,000
MAX_PICKLE_DEPTH = 16  # containers within containers
UNPICKLE_SECONDS = 20.0  # the largest batch takes less than one
MAX_TENSORS = 1_000
