"""Draw the demo catalogue into a folder: images, captions.csv, and the truth about both, faults included.

- `captions.csv`: image, caption, label, split, colour, pattern; a row per caption, like a dataset of a user.
- `truth.csv`: what each image shows, and whether its combination is withheld from training.
- `faults.csv`: every fault, the row of captions.csv (from 1) that has it, and what should be there.
- `queries.csv` and `qrels.csv`: what people might ask for, and the images that are right answers, in two degrees.
- `catalogue.json`: the parameters; once everything else is there it says "finished" and the sha256 of each file.

A product has one fault at most, so that it is known what is wrong with it.
"""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.entities import codepoint2name
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any

import pandas as pd
from filelock import FileLock
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from mmlab.demo.drawing import IMAGE_SIDE, draw_product, jpeg_bytes, map_processes
from mmlab.demo.products import BACKGROUND_PHRASES, Product, Purpose, sample_product, write_captions
from mmlab.demo.queries import compose_queries, tabulate_qrels, tabulate_queries
from mmlab.items import replacing
from mmlab.items.files import file_hash

SWAPPED, PRINTED = "swapped captions", "text in image"
MISSING, TRUNCATED = "missing file", "truncated file"
EXACT, NEAR = "exact duplicate", "near duplicate"
FAULT_SHARE = 0.02  # of the products, for each fault
TRUNCATED_SHARE = 0.4  # of a file that is kept
PRINTED_LINE_LENGTH = 17  # letters
PRINTED_LINE_HEIGHT = 30  # pixels


def plan_faults(products: Sequence[Product]) -> list[str | None]:
    """Return the fault of each product, None for most; swapped captions come in pairs of neighbours.

    The two products of a swap belong to different categories.
    """
    planned = [_sample_fault(product) for product in products]
    for first in range(0, len(products), 2):
        pair = products[first : first + 2]
        if planned[first] == SWAPPED and len({product.category for product in pair}) == 2:
            planned[first + 1] = SWAPPED
        else:
            planned[first : first + 2] = [
                None if fault == SWAPPED else fault for fault in planned[first : first + 2]
            ]
    return planned


def spoil_caption(caption: str, fault: str) -> tuple[str, str]:
    """Return the caption as it should have been, and the caption with the fault."""
    if fault == "broken encoding" and caption.isascii():
        caption = f"Fine décor — {caption}"
    return caption, CAPTION_FAULTS[fault](caption)


def printed_text(product: Product) -> str:
    """Return the text that is printed in the image of a product without captions."""
    pattern = "" if product.pattern == "plain" else product.pattern + " "
    return f"{product.colour} {pattern}{product.category} {BACKGROUND_PHRASES[product.background][0]}"


def name_alteration(product: Product) -> str:
    """Return the name of the alteration that makes a near duplicate of a product."""
    return list(ALTERATIONS)[product.number % len(ALTERATIONS)]


def file_bytes(product: Product, fault: str | None = None) -> bytes:
    """Return the JPEG file of a product, with one of the faults that a file can have."""
    if fault == TRUNCATED:
        whole = file_bytes(product)
        return whole[: int(TRUNCATED_SHARE * len(whole))]
    image = draw_product(product)
    if fault == PRINTED:
        image = _print_text(image, printed_text(product))
    if fault == NEAR:
        image = ALTERATIONS[name_alteration(product)](image)
    return jpeg_bytes(image)


def _sample_fault(product: Product) -> str | None:
    number = int(product.rng(Purpose.FAULTS).random() / FAULT_SHARE)
    return ALL_FAULTS[number] if number < len(ALL_FAULTS) else None


def _with_tags(caption: str) -> str:
    first, second, rest = caption.split(maxsplit=2)
    return f'<p class="description">{first} <b>{second}</b> {rest}<br/></p>'


def _with_entities(caption: str) -> str:
    escaped = html.escape(caption).replace(" ", "&nbsp;", 1)
    return "".join(f"&{codepoint2name[ord(letter)]};" if ord(letter) > 127 else letter for letter in escaped)


def _with_newlines(caption: str) -> str:
    first, second, rest = caption.split(maxsplit=2)
    return f"\n{first} {second}\r\n\n   {rest}\n"


def _with_broken_encoding(caption: str) -> str:
    return caption.encode("utf-8").decode("cp1252")


def _shorten(caption: str) -> str:
    return " ".join(caption.split()[:3])


def _resize(image: Image.Image) -> Image.Image:
    return image.resize((220, 220), Image.Resampling.BICUBIC)


def _brighten(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.12)


def _crop(image: Image.Image) -> Image.Image:
    return image.crop((6, 4, IMAGE_SIDE - 4, IMAGE_SIDE - 6))


def _recompress(image: Image.Image) -> Image.Image:
    return Image.open(BytesIO(jpeg_bytes(image, quality=30)))


def _print_text(image: Image.Image, text: str) -> Image.Image:
    """Make a poster: the image above, the text below in large black letters on white."""
    lines = wrap(text, PRINTED_LINE_LENGTH)
    top = IMAGE_SIDE - PRINTED_LINE_HEIGHT * len(lines) - 8
    poster = Image.new("RGB", (IMAGE_SIDE, IMAGE_SIDE), "white")
    poster.paste(image.resize((top, top), Image.Resampling.LANCZOS), ((IMAGE_SIDE - top) // 2, 0))
    font = ImageFont.load_default(size=26)
    for number, line in enumerate(lines):
        middle = (IMAGE_SIDE / 2, top + 4 + PRINTED_LINE_HEIGHT * (number + 0.5))
        ImageDraw.Draw(poster).text(middle, line, fill="black", font=font, anchor="mm")
    return poster


CAPTION_FAULTS = {
    "html tags": _with_tags,
    "html entities": _with_entities,
    "newlines": _with_newlines,
    "broken encoding": _with_broken_encoding,
    "too short": _shorten,
}
ALL_FAULTS = (*CAPTION_FAULTS, SWAPPED, PRINTED, MISSING, TRUNCATED, EXACT, NEAR)
ALTERATIONS = {"resized": _resize, "brightened": _brighten, "cropped": _crop, "recompressed": _recompress}


MAKER = "mmlab.demo"
VERSION = 2  # of all that is written; a catalogue of another version is drawn again
DRAWN_IMAGE = re.compile(r"\d{5,}b?\.jpg")
IMAGES_PER_TASK = 50  # drawn by a process at a time
# Neighbours share a split, so that swapped captions stay in it: of ten pairs 6 train, 1 validation, 3 test.
SPLIT_OF_PAIR = ("train", "test", "train", "train", "test", "train", "validation", "train", "test", "train")
TRUTH_COLUMNS = (
    "split", "category", "colour", "pattern", "background", "companion", "size", "light", "angle", "withheld",
)  # fmt: skip


@dataclass(frozen=True)
class Flaw:
    """A fault of one caption, or of the image file where `caption` is None.

    `caption`: position in the listing, from 0. `original`: the caption that should be there, or the image that this
    one repeats or took its captions from. `detail`: the alteration of a near duplicate.
    """

    fault: str
    caption: int | None = None
    original: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Listing:
    """An image of the catalogue: its path there, the product it shows, its captions and its flaws."""

    image: str
    product: Product
    captions: tuple[str, ...]
    flaws: tuple[Flaw, ...] = ()

    @property
    def fault(self) -> str | None:
        """Its fault, or None."""
        return self.flaws[0].fault if self.flaws else None


def draw_catalogue(folder: str | Path, products: int = 1500, seed: int = 0, progress: bool = True) -> Path:
    """Draw a catalogue of `products` products with known faults and return its folder.

    Draws nothing if the folder holds this catalogue already; a catalogue of other parameters is replaced, and files
    that were put into its folder stay. A smaller catalogue of the same seed is the beginning of a larger one. Another
    process that draws there is waited for. Several processes draw, so a script calls this below
    `if __name__ == "__main__":`. Raises ValueError for `products` below 1 or a negative seed, and FileExistsError for a
    folder that holds something else, and for a drawn file that somebody has changed and that would be replaced.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     catalogue = draw_catalogue(Path(folder) / "catalogue", products=2, progress=False)
    ...     sorted(path.name for path in catalogue.iterdir())
    ['captions.csv', 'catalogue.json', 'faults.csv', 'images', 'qrels.csv', 'queries.csv', 'truth.csv']
    """
    if products < 1 or seed < 0:
        raise ValueError(f"products must be at least 1 and seed at least 0, found {products} and {seed}")
    folder = Path(folder)
    parameters = {"made_by": MAKER, "version": VERSION, "products": products, "seed": seed}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        found = _read_parameters(folder)
        if not found or {**found, "files": None} != parameters | {"finished": True, "files": None}:
            _empty_folder(folder, found)
            _draw(folder, parameters, progress)
    return folder


def _draw(folder: Path, parameters: dict[str, Any], progress: bool) -> None:
    """Draw the images and write the tables; the parameters are written before and after."""
    _write_parameters(folder, parameters | {"finished": False})
    listings = list_catalogue(parameters["products"], parameters["seed"])
    _draw_images(folder, listings, progress)
    for name, tabulate in TABLES.items():
        tabulate(listings).to_csv(folder / name, index=False, lineterminator="\n")
    files = {name: file_hash(folder / name) for name in _drawn_files(folder)}
    _write_parameters(folder, parameters | {"finished": True, "files": files})


def list_catalogue(products: int, seed: int) -> list[Listing]:
    """List the images of a number of products; a duplicate comes after the image that it repeats."""
    chosen = [sample_product(seed, split_of(number), number) for number in range(products)]
    listings = []
    for product, fault in zip(chosen, plan_faults(chosen), strict=True):
        sound = Listing(_image_name(product), product, tuple(write_captions(product)))
        if fault is None:
            listings.append(sound)
        elif fault == SWAPPED:
            listings.append(_swap_captions(sound, chosen[product.number ^ 1]))
        elif fault in (EXACT, NEAR):
            listings += [sound, _repeat(sound, fault)]
        else:
            listings.append(_spoil(sound, fault))
    return listings


def split_of(number: int) -> str:
    """Return the split of a product of the catalogue."""
    return SPLIT_OF_PAIR[number // 2 % len(SPLIT_OF_PAIR)]


def _image_name(product: Product, suffix: str = "") -> str:
    return f"images/{product.number:05}{suffix}.jpg"


def _spoil(sound: Listing, fault: str) -> Listing:
    """Spoil the first caption, or the file."""
    if fault in CAPTION_FAULTS:
        original, spoilt = spoil_caption(sound.captions[0], fault)
        return Listing(sound.image, sound.product, (spoilt, *sound.captions[1:]), (Flaw(fault, 0, original),))
    if fault == PRINTED:
        return Listing(sound.image, sound.product, ("",), (Flaw(fault, 0, printed_text(sound.product)),))
    return Listing(sound.image, sound.product, sound.captions, (Flaw(fault),))


def _swap_captions(sound: Listing, other: Product) -> Listing:
    captions = tuple(write_captions(other))
    flaws = tuple(Flaw(SWAPPED, position, _image_name(other)) for position in range(len(captions)))
    return Listing(sound.image, sound.product, captions, flaws)


def _repeat(sound: Listing, fault: str) -> Listing:
    """List the same image a second time, with other captions."""
    flaw = Flaw(fault, None, sound.image, name_alteration(sound.product) if fault == NEAR else "")
    captions = tuple(write_captions(sound.product, Purpose.RELISTING))
    return Listing(_image_name(sound.product, "b"), sound.product, captions, (flaw,))


def _tabulate_captions(listings: list[Listing]) -> pd.DataFrame:
    rows = [
        (listing.image, caption, product.category, product.split, product.colour, product.pattern)
        for listing in listings
        for product in [listing.product]
        for caption in listing.captions
    ]
    return pd.DataFrame(rows, columns=["image", "caption", "label", "split", "colour", "pattern"])


def _tabulate_truth(listings: list[Listing]) -> pd.DataFrame:
    rows = [(one.image, *(getattr(one.product, name) for name in TRUTH_COLUMNS)) for one in listings]
    return pd.DataFrame(rows, columns=["image", *TRUTH_COLUMNS])


def _tabulate_faults(listings: list[Listing]) -> pd.DataFrame:
    rows, first = [], 1
    for listing in listings:
        for flaw in listing.flaws:
            row = None if flaw.caption is None else first + flaw.caption
            rows.append((flaw.fault, listing.image, row, flaw.original, flaw.detail))
        first += len(listing.captions)
    faults = pd.DataFrame(rows, columns=["fault", "image", "row", "original", "detail"])
    return faults.astype({"row": "Int64"})


def _tabulate_queries(listings: list[Listing]) -> pd.DataFrame:
    return tabulate_queries(compose_queries(_readable(listings)))


def _tabulate_qrels(listings: list[Listing]) -> pd.DataFrame:
    shown = _readable(listings)
    return tabulate_qrels(compose_queries(shown), shown)


def _readable(listings: list[Listing]) -> dict[str, Product]:
    """Return the product of each image that can be opened; of exact duplicates, of the first alone."""
    return {one.image: one.product for one in listings if one.fault not in (MISSING, TRUNCATED, EXACT)}


TABLES = {
    "captions.csv": _tabulate_captions,
    "truth.csv": _tabulate_truth,
    "faults.csv": _tabulate_faults,
    "queries.csv": _tabulate_queries,
    "qrels.csv": _tabulate_qrels,
}


def _draw_images(folder: Path, listings: list[Listing], progress: bool) -> None:
    (folder / "images").mkdir(exist_ok=True)
    files = [(folder / one.image, one.product, one.fault) for one in listings if one.fault != MISSING]
    tasks = [files[start : start + IMAGES_PER_TASK] for start in range(0, len(files), IMAGES_PER_TASK)]
    for _ in map_processes(_write_files, tasks, "catalogue", progress):
        pass


def _write_files(files: list[tuple[Path, Product, str | None]]) -> None:
    for path, product, fault in files:
        path.write_bytes(file_bytes(product, fault))


def _read_parameters(folder: Path) -> dict[str, Any] | None:
    """Return the content of catalogue.json, or None where it is missing or not written by this module."""
    try:
        parameters = json.loads((folder / "catalogue.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return parameters if isinstance(parameters, dict) and parameters.get("made_by") == MAKER else None


def _empty_folder(folder: Path, found: dict[str, Any] | None) -> None:
    """Make the folder and remove the files of an earlier catalogue, and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    if found is None and any(folder.iterdir()):
        raise FileExistsError(
            f"expected an empty folder or an earlier catalogue at {folder}, found other files;"
            " choose another folder, or move them away"
        )
    drawn = _drawn_files(folder)
    # one that was not drawn to its end is drawn again whatever there is of it
    known = found.get("files", {}) if found and found["finished"] else {}
    changed = [name for name in drawn if name in known and file_hash(folder / name) != known[name]]
    if changed or (known and (changed := [name for name in drawn if name not in known])):
        raise FileExistsError(
            f"{folder / changed[0]} is not as it was drawn, and another catalogue is about to take its place: "
            f"move it away ({len(changed)} such files), or choose another folder"
        )
    for name in drawn:
        (folder / name).unlink()


def _drawn_files(folder: Path) -> list[str]:
    """Return the files in the folder that are called as those of a catalogue."""
    images = sorted(path for path in (folder / "images").glob("*.jpg") if DRAWN_IMAGE.fullmatch(path.name))
    return [f"images/{path.name}" for path in images] + [name for name in TABLES if (folder / name).is_file()]


def _write_parameters(folder: Path, parameters: dict[str, Any]) -> None:
    with replacing(folder / "catalogue.json") as temporary:
        temporary.write_text(json.dumps(parameters, indent=1) + "\n", "utf-8")
