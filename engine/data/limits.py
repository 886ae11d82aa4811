"""Every limit that foreign data meet, with its reason. Nothing here is imported from elsewhere in the project."""

from __future__ import annotations

MIB = 1 << 20

# One image file
MAX_FILE_BYTES = 64 * MIB
MAX_PIXELS = 50_000_000  # a 48-megapixel photograph passes; about 200 MB while it is decoded
MAX_FRAMES = 10_000  # only the first is shown; the rest is merely counted
LONGEST_SIDE = 1024  # larger pictures are scaled down to it before anything else sees them
DECODE_SECONDS = 2.0  # of computing; the largest photographs take half of one
WAIT_FACTOR = 5  # by the clock a file may take this much longer, since the machine may be busy and the disk slow

# The processes that read foreign files
READER_BYTES = 1024 * MIB  # address space, libraries included; more only for a file that is mapped, by its real size
SILENT_SECONDS = 20.0  # without any word from a reader; the largest CIFAR batch takes less than one
READERS = 4  # that decode a folder of pictures at once; each has some 60 MB, and more cores than that wait for the disk
IDLE_READERS = 2  # kept for the next file
BATCH_FILES = 512  # decoded for one question
FEW_FILES = 64  # the same while there are few, so that every process has its share
BATCH_BYTES = 4 * MIB  # of pixels, or half of them that one question asks for at most
BATCH_SECONDS = 0.1  # after which a batch is answered as far as it is done

# What the networks take
SMALLEST_SIDE = 8
LARGEST_SIDE = 256  # that can be asked for; what a method takes is its own (Method.largest_side)
USUAL_SIDE = 64  # the largest that images get unasked

# A data set
MIN_IMAGES = 3  # one to train on, one to validate, one to test
MAX_SET_BYTES = 16 * 1024 * MIB  # of uint8 pixels
MAX_IMAGE_BYTES = 64 * MIB  # of one image in an array, as its numbers come
IN_MEMORY_BYTES = 512 * MIB  # what is larger is mapped from a file
SHAPE_SAMPLE = 64  # pictures of a folder whose headers tell the shape that all get, most of the time
MAX_FILES = 2_000_000
MAX_DEPTH = 32  # folders within folders
MAX_TEXT_BYTES = 256 * MIB
MAX_SHAPES = 1_000_000
MAX_CLIPS = 20_000  # of `moving-shapes`: 0.4 GB
BAD_LISTED = 500
LEFT_OUT_LISTED = 5  # files of one reason that a note names
MAX_TABLE_BYTES = 64 * MIB  # of labels beside pictures; a million lines take 30
MAX_TABLE_COLUMNS = 2_000
MAX_TABLE_CELL = 300  # characters
MAX_TABLES = 24  # that are looked at in one folder
MAX_CLASSES = 65_536
MAX_RECIPE_BYTES = 64 * 1024
DUPLICATES_LISTED = 20
MAX_CURATION_BYTES = 64 * MIB  # of decisions about single images: half a million of them
MAX_CURATION_STEPS = 100_000
MAX_CURATED = 1_000_000  # images that all steps name together

# Archives and pickles
MAX_ZIP_ENTRIES = 10_000
MAX_PACKED_FILES = 500_000  # pictures in one archive
MAX_TABLE_PIECE_BYTES = 512 * MIB  # of the pictures in one row group of a Parquet table, which is often one page and comes as a whole
MAX_SHARDS = 2_000  # archives in one folder
MAX_ZIP_DIRECTORY_BYTES = 4 * MIB
MAX_NESTED_BYTES = 256 * MIB  # of an archive of arrays within an archive, which is held in memory
MAX_ZIP_RATIO = 200  # bytes unpacked per byte packed; photographs reach 2, drawings 20
MAX_GZIP_RATIO = 200  # the same for .gz files; the files of MNIST and its relatives reach 6
MAX_HEADER_BYTES = 64 * 1024  # of an .npy array
MAX_ITEM_BYTES = 4_096  # of one value; a text of a thousand letters
MAX_PICKLE_BYTES = 256 * MIB  # CIFAR-100's largest batch has 155 MB
MAX_PICKLE_VALUES = 1_000_000  # CIFAR-100's largest batch has 150,000
MAX_PICKLE_DEPTH = 16  # containers within containers
MAX_TENSORS = 1_000
