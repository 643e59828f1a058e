"""Open one picture file the same way everywhere: upright, RGB, of bounded size, or refused with a reason."""

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000  # decoded: 300 MB; more is refused as a decompression bomb


class PictureError(ValueError):
    """A file that cannot be used as a picture; the message is a short, stable reason."""


def open_picture(path: str | Path) -> "Image.Image":
    """The picture as RGB: first frame, EXIF orientation applied, transparency on white.

    Raises PictureError with one of: missing file, empty file, not a picture, too many pixels, damaged file.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureError("too many pixels")
            return _upright_rgb(picture)
    except FileNotFoundError as error:
        raise PictureError("missing file") from error
    except UnidentifiedImageError as error:
        raise PictureError("not a picture" if Path(path).stat().st_size else "empty file") from error
    except Image.DecompressionBombError as error:
        raise PictureError("too many pixels") from error
    except PictureError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise PictureError("damaged file") from error


def thumbnail(path: str | Path, side: int = 128) -> bytes:
    """JPEG bytes of the picture scaled to fit a square of `side` pixels."""
    from PIL import Image

    picture = open_picture(path)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _upright_rgb(picture: "Image.Image") -> "Image.Image":
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):  # Pillow would clip at 255 instead of scaling
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    opaque = picture.convert("RGBA")
    white = Image.new("RGBA", opaque.size, "white")
    return Image.alpha_composite(white, opaque).convert("RGB")
