"""How much is read of one file, in one place: a small file may unpack to more than memory holds, or take hours.

The bounds are far above what real datasets need. A file beyond one is refused before or while it is read.
"""

import io
from typing import IO

# Images.
MAX_PIXELS = 100_000_000  # 400 MB for the image itself, of which Pillow keeps 4 bytes a pixel
MAX_DECODING_BYTES = 1_250_000_000  # at the height, while a file is decoded and converted
# bytes that this takes for each pixel, as measured, by the name that Pillow gives the format; "" for all others
DECODING_BYTES = {"": 12, "AVIF": 14, "WEBP": 18, "JPEG2000": 20}
MAX_SCANS = 100  # of a JPEG, of which an ordinary one has about 10
MAX_SCANNED_PIXELS = 2_000_000_000  # pixels times scans: some seconds

# Packed files: what comes out of one may be so many times larger than the file; a small one is always read.
MAX_TIMES_LARGER = 300
ALWAYS_READ_BYTES = 100_000_000

# Parquet, where a value that is repeated costs nothing: rows and values for each byte of the file.
ROWS_PER_BYTE = 10
ALWAYS_READ_ROWS = 100_000
BATCH_BYTES = 500_000_000  # in memory at a time

# Workbooks, of which all between the first and the last cell is in memory.
ALWAYS_READ_CELLS = 10_000_000
CELLS_PER_CELL = 20  # for each cell that holds something

# Text and JSON.
MAX_JSON_BYTES = 2_000_000_000
MAX_SIDECAR_BYTES = 1_000_000  # of a text beside an image; more is no caption
MAX_LIST_BYTES = 200_000_000  # of a list of images or texts
MAX_LINE_CHARS = 100_000_000  # of one entry of JSON Lines, or of a row that holds an image in base64
MAX_SWEEP_BYTES = 1_000_000  # of the settings of a sweep, in which no value may stand for another
MAX_IMAGE_BYTES = 200_000_000  # of an image in an archive


def most_unpacked(packed: int) -> int:
    """Return how many bytes may come out of a packed file of so many.

    >>> most_unpacked(1_000), most_unpacked(1_000_000)
    (100000000, 300000000)
    """
    return max(ALWAYS_READ_BYTES, MAX_TIMES_LARGER * packed)


class Unpacked(io.RawIOBase):
    """A file as it is unpacked, which raises ValueError where more comes out of it than `most` bytes."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.most, self.left = file, most, most

    def readable(self) -> bool:
        """Return True: it is read, never written."""
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Read as many bytes as come next, and return their number."""
        found = self.file.read(len(buffer))
        self.left -= len(found)
        if self.left < 0:
            raise ValueError(
                f"more than {self.most:,} bytes come out of it: unpack it, and read what it holds"
            )
        buffer[: len(found)] = found
        return len(found)
