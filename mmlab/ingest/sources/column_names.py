"""What the columns of a table say, by their names and by a look at their first cells."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from mmlab.ingest.sources.cells import (
    OUR_COLUMNS,
    image_of,
    is_address,
    is_image_cell,
    is_image_file,
    is_text_cell,
    words_in,
)
from mmlab.ingest.sources.text_files import replace_surrogates
from mmlab.items import ITEM_COLUMNS
from mmlab.items.tables import NEGATIVE

IMAGE_NAMES = (  # in the order of preference, as `normalized` writes them
    "image", "images", "image_path", "image_paths", "img_path", "file_name", "filename", "filepath", "file_path",
    "path", "file", "image_file", "image_file_name", "image_filename", "image_name", "img", "imgs", "img_name",
    "img_file", "image_src", "photo", "photos", "photo_path", "photo_file", "pic", "image_location",
    "relative_path", "local_path", "image_url", "image_urls", "img_url", "image_link", "image_uri", "photo_image_url",
    "photo_url", "main_image", "main_image_url", "source_ref",
    "image_base_64", "img_base_64", "url", "link", "src", "uri", "image_id", "image_key", "img_id",
    "photo_id", "main_image_id",
)  # fmt: skip
SINGLE_NAMES = {
    "label": ("label", "labels", "class_name", "class", "category", "cls"),
    "split": ("split", "splits", "subset", "partition", "set_name", "set"),
}
ADDRESS_NAMES = (
    "image_url", "img_url", "image_link", "photo_url", "photo_image_url", "coco_url", "flickr_url", "url",
)  # fmt: skip
TEXT_WORDS = {
    "caption", "captions", "text", "texts", "txt", "sentence", "sentences", "description", "descriptions", "desc",
    "title", "titles", "alt", "alttext", "prompt", "prompts", "comment", "comments", "raw", "headline", "summary",
    "body", "narrative", "blurb", "conversations", "messages", "query", "queries", "phrase", "phrases", "regions",
    "paragraph", "findings", "impression", "utterance",
}  # fmt: skip
NAME_WORDS = {  # of a product, such as productDisplayName
    "name", "product", "item", "prod", "display", "full", "article",
}  # fmt: skip
NO_TEXT_WORDS = {
    "id", "ids", "num", "number", "count", "length", "len", "url", "uri", "link", "path", "paths", "file",
    "filename", "index", "idx", "type", "source", "score", "scores", "lang", "similarity", "language", "tokens",
    "token", "tokenized", "embedding", "key", "author", "user", "date", "time", "timed", "timestamp", "page",
    "section", "context", "model", "hash", "phash", "label", "labels", "class", "category", "seo", "position",
    "width", "height", "prob", "confidence", "modality", "format", "mode",
}  # fmt: skip
COMPOSED = ({"candidate", "target"}, {"reference", "target_hard"}, {"reference", "target"})
NEGATIVE_WORDS = {
    "negative", "negatives", "neg", "foil", "foils", "distractor", "distractors", "incorrect", "false",
}  # fmt: skip
LANGUAGES = {
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu",
    "it", "ja", "ko", "lt", "lv", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta", "te", "th", "tr",
    "uk", "ur", "vi", "zh", "cn", "jp",
}  # fmt: skip
LANGUAGE_NAMES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "chinese": "zh",
    "japanese": "ja", "korean": "ko", "czech": "cs", "russian": "ru", "portuguese": "pt", "cn": "zh", "jp": "ja",
}  # fmt: skip
RESERVED = {*ITEM_COLUMNS, *OUR_COLUMNS}  # columns that ingest itself fills
UNNAMED = re.compile(r"column_\d+|unnamed_\d+")
NAMED = ("image", "caption", *SINGLE_NAMES)  # by the user, among those of a table
MAX_COLUMNS = 1000  # a file with more of them is no table of captions
CELLS_ALIKE = 5
IMAGE_WORDS = (
    "image",
    "img",
    "photo",
    "pic",
    "iiif",
    "thumb",
)  # in the name of a column with addresses of images
MOST = 0.5  # of the cells looked at decide what a column holds
WORDS_OF_A_TEXT = 3  # on average, in a column whose name says nothing


class TextColumn(NamedTuple):
    """The place of a column of texts, the origin and the language of these texts, and the number in its name."""

    place: int
    origin: str
    language: str | None = None
    number: str = ""


class ColumnMap(NamedTuple):
    """The places of our columns in a record, None where the table lacks one, and the user's columns.

    images: places, with the number in the name of each. handle: of a product, whose first row speaks for all. names: of
    all columns. note: what was guessed, "" for nothing. has_language: whether the names of columns say the language.
    """

    images: list[tuple[int, str]]
    texts: list[TextColumn]
    label: int | None
    split: int | None
    address: int | None
    handle: int | None
    user_places: list[int]
    user_names: list[str]
    names: list[str]
    note: str = ""
    has_language: bool = False

    @property
    def shape(self) -> tuple[object, ...]:
        """The names of the columns of images and of texts, which the parts of one source share."""
        places = ([place for place, _ in self.images], [text.place for text in self.texts])
        return tuple(tuple(normalized(self.names[place]) for place in some) for some in places)

    @property
    def added_names(self) -> list[str]:
        """The names of the values that rows carry: the user's, and language where columns say one."""
        return [*self.user_names, *["language"] * self.has_language]


def normalized(name: str) -> str:
    """Return a column's name in small letters, its words joined by underscores.

    >>> normalized(" Image Src"), normalized("productDisplayName"), normalized("Body (HTML)"), normalized("caption1")
    ('image_src', 'product_display_name', 'body_html', 'caption_1')
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip())
    return "_".join(re.findall(r"[^\W_]+", name.casefold()))


def map_columns(
    names: Sequence[str],
    columns: Mapping[str, list[str]],
    table: object,
    sample: Sequence[Sequence[Any]] = (),
    on_disk: Callable[[str], bool] = lambda _: False,
    needs_image: bool = True,
) -> ColumnMap:
    """Find our columns among the names of a table; `columns` maps ours to the table's, where they are unusual.

    sample: the first records. on_disk: whether a file has the name that a cell says, with or without its suffix.
    A column of the user's with the name of one that ingest fills is renamed `source_<name>`.
    Raise ValueError where no column holds images though `needs_image`, or one that `columns` names is missing.
    """
    columns = {ours: theirs for ours, theirs in columns.items() if ours in NAMED}
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"{table}: expected at most {MAX_COLUMNS} columns, found {len(names)}")
    names = unique_names(names)
    _check_names(names, columns, table)
    return _Finder(names, columns, sample, on_disk).find(table, needs_image)


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names without blanks around them; one that is missing or repeated gets its number."""
    unique: list[str] = []
    for number, name in enumerate(names, 1):
        name = name.strip() or f"column_{number}"
        unique.append(f"{name}_{number}" if name in unique else name)
    return unique


def _check_names(names: list[str], columns: Mapping[str, list[str]], table: object) -> None:
    missing = [theirs for given in columns.values() for theirs in given if theirs not in names]
    if missing:
        raise ValueError(f"{table}: columns {missing} are missing; found {shortened(names)}")


class _Finder:
    """Find what each column of one table says."""

    def __init__(
        self,
        names: list[str],
        columns: Mapping[str, list[str]],
        sample: Sequence[Sequence[Any]],
        on_disk: Callable[[str], bool],
    ) -> None:
        self.names, self.given, self.sample, self.on_disk = names, columns, sample, on_disk
        self.normal = [normalized(name) for name in names]
        self.free = {
            place for place, name in enumerate(names) if all(name not in given for given in columns.values())
        }
        self.notes: list[str] = []

    def find(self, table: object, needs_image: bool) -> ColumnMap:
        self._refuse_composed(table)
        single = {ours: self._single(ours) for ours in SINGLE_NAMES}
        images = self._images()
        if not images and needs_image:
            raise ValueError(
                f"{table}: expected a column with the images ({', '.join(IMAGE_NAMES[:9])}, ...), found "
                f'{shortened(self.names)}: rename one, or name it with columns={{"image": "..."}}'
            )
        self.free -= {place for place, _ in images}
        address = self._address(images)
        handle = self.normal.index("handle") if "handle" in self.normal else None
        texts = self._texts()
        ours = {*(place for place, _ in images), *(text.place for text in texts), *single.values()}
        user_places = [place for place in range(len(self.names)) if place not in ours]
        user_names = _free_names([self.names[place] for place in user_places])
        has_language = any(text.language for text in texts) and "language" not in user_names
        return ColumnMap(
            images, texts, single["label"], single["split"], address, handle, user_places, user_names, self.names,
            "; ".join(self.notes), has_language,
        )  # fmt: skip

    def _refuse_composed(self, table: object) -> None:
        """Raise ValueError for queries that are composed of an image and its change, as in FashionIQ and CIRR."""
        if "image" not in self.given and any(pair <= {*self.normal} for pair in COMPOSED):
            raise ValueError(
                f"{table}: its texts say how an image differs from another one, which is no caption: to take them for "
                "captions of one of the two, give -p columns=image=NAME; a run asks by image and text together with "
                "run.search(text, image=...)"
            )

    def _single(self, ours: str) -> int | None:
        if ours in self.given:
            return self.names.index(self.given[ours][0])
        found = [self.normal.index(name) for name in SINGLE_NAMES[ours] if name in self.normal]
        place = next((place for place in found if place in self.free), None)
        self.free.discard(-1 if place is None else place)
        return place

    def _share(self, place: int, test: Callable[[Any], bool]) -> float:
        """Return which part of the cells looked at passes the test; 0 where all are empty."""
        cells = [
            cells[place] for cells in self.sample if place < len(cells) and cells[place] not in (None, "", [])
        ]
        return sum(map(test, cells)) / len(cells) if cells else 0.0

    def _images(self) -> list[tuple[int, str]]:
        if "image" in self.given:
            return [(self.names.index(name), _number(normalized(name))) for name in self.given["image"]]
        numbered = self._numbered_images()
        if len(numbered) > 1:
            return numbered
        place = self._image()
        return [] if place is None else [(place, "")]

    def _numbered_images(self) -> list[tuple[int, str]]:
        """Return the columns image_0, image_1, ..., and image where it goes before these."""
        form = re.compile(
            r"(image|img|photo)(_url|_path|_file|_src|_link)?(_\d+)?(_url|_path|_file|_src|_link)?"
        )
        return [
            (place, _number(name))
            for place, name in enumerate(self.normal)
            if place in self.free
            and form.fullmatch(name)
            and (_number(name) or name in ("image", "img", "photo"))
        ]

    def _image(self) -> int | None:
        usual = [self.normal.index(name) for name in IMAGE_NAMES if name in self.normal]
        usual = [place for place in usual if place in self.free]
        disk = {place for place in self.free if self._share(place, self._names_a_file) > MOST}
        looks = {place for place in self.free if self._share(place, partial(self._is_image, place)) > MOST}
        ids = sorted(disk - set(usual), key=lambda place: (not self._is_id(place), place))
        counts = [place for place in ids if not self._is_id(place) and self._share(place, _is_count) > MOST]
        chosen = [place for place in usual if place in disk] + [place for place in ids if place not in counts]
        chosen += [place for place in usual if place in looks] + usual + sorted(looks) + counts
        if not chosen:
            return None
        if chosen[0] not in usual:
            seen = "the names of files" if chosen[0] in disk else "images"
            self.notes.append(
                f"the column {self.names[chosen[0]]} is read as the image: its cells look like {seen}"
            )
        return chosen[0]

    def _is_image(self, place: int, cell: Any) -> bool:
        """Return whether a cell is an image; under a name that says nothing, an address has to look like one too."""
        name = self.normal[place]
        named = name in IMAGE_NAMES or UNNAMED.fullmatch(name) or any(word in name for word in IMAGE_WORDS)
        return is_image_cell(cell) and bool(named or not is_address(cell) or is_image_file(cell))

    def _is_id(self, place: int) -> bool:
        return "id" in self.normal[place].split("_")

    def _names_a_file(self, cell: Any) -> bool:
        plain = isinstance(cell, str | int) and not isinstance(cell, bool) and not is_address(cell)
        return plain and self.on_disk(image_of(str(cell))[0])

    def _address(self, images: list[tuple[int, str]]) -> int | None:
        places = [self.normal.index(name) for name in ADDRESS_NAMES if name in self.normal]
        places = [place for place in places if place in self.free]
        return next((place for place in places if self._share(place, is_address) > MOST), None)

    def _texts(self) -> list[TextColumn]:
        if "caption" in self.given:
            return self._with_origins([self.names.index(name) for name in self.given["caption"]])
        places = [place for place in sorted(self.free) if self._is_text(place)]
        normal = {self.normal[place] for place in places}
        places = [
            place
            for place in places
            if not self.normal[place].startswith("raw_") or self.normal[place][4:] not in normal
        ]
        places = places or [place for place in sorted(self.free) if self.normal[place] in LANGUAGES]
        differing = [place for place in places if not self._is_same_everywhere(place)]
        places = differing or places
        return self._with_origins(places or self._longest_texts())

    def _is_text(self, place: int) -> bool:
        words = set(self.normal[place].split("_"))
        named = (words & TEXT_WORDS and not words & NO_TEXT_WORDS) or (
            "name" in words and words <= NAME_WORDS
        )
        if not named or self._share(place, is_image_cell) > MOST:
            return False
        return (
            not self.sample or self._share(place, is_text_cell) > 0 or self._share(place, lambda _: True) == 0
        )

    def _is_same_everywhere(self, place: int) -> bool:
        """Return whether all texts looked at are one, as an instruction is that was given to a model."""
        cells = [str(cells[place]) for cells in self.sample if place < len(cells) and cells[place]]
        return len(cells) >= CELLS_ALIKE and len(set(cells)) == 1

    def _longest_texts(self) -> list[int]:
        """Return the column with the longest texts, where its cells hold several words."""
        lengths = {
            place: self._words(place) for place in self.free if self._share(place, is_image_cell) <= MOST
        }
        best = max(lengths, key=lambda place: lengths[place], default=None)
        named = not all(map(UNNAMED.fullmatch, self.names))
        if best is None or lengths[best] < (WORDS_OF_A_TEXT if named else 1):
            return []
        self.notes.append(
            f"the column {self.names[best]} is read as the text: its cells are the longest texts"
        )
        return [best]

    def _words(self, place: int) -> float:
        """Return how many words the cells looked at hold on average."""
        words = [words_in(cells[place]) for cells in self.sample if place < len(cells) and cells[place]]
        return sum(words) / len(words) if words else 0.0

    def _with_origins(self, places: list[int]) -> list[TextColumn]:
        several = sum(not _is_negative(self.normal[place]) for place in places) > 1
        return [
            TextColumn(
                place,
                _origin(self.names[place], self.normal[place], several),
                _language(self.normal[place]),
                _number(self.normal[place]),
            )
            for place in places
        ]


def _origin(name: str, normal: str, several: bool) -> str:
    if _is_negative(normal):
        return NEGATIVE
    if set(normal.split("_")) & {"alt", "alttext"}:
        return "alt"
    return name if several else "caption"


def _is_negative(normal: str) -> bool:
    return bool(set(normal.split("_")) & NEGATIVE_WORDS)


def _language(normal: str) -> str | None:
    words = normal.split("_")
    codes = [LANGUAGE_NAMES.get(word, word) for word in words if word in LANGUAGES or word in LANGUAGE_NAMES]
    return codes[-1] if codes else None


def _number(normal: str) -> str:
    return next((word for word in normal.split("_") if word.isdigit()), "")


def _is_count(cell: Any) -> bool:
    return isinstance(cell, int) or (isinstance(cell, str) and cell.strip().isdigit())


def _free_names(names: list[str]) -> list[str]:
    """Return the names, with "source_" before those that are reserved or already in use."""
    used, free = set(RESERVED), list[str]()
    for name in map(replace_surrogates, names):
        while name in used or (name != names[len(free)] and name in names):
            name = f"source_{name}"
        used.add(name)
        free.append(name)
    return free


def shortened(names: list[str]) -> list[str]:
    """Return the names as an error shows them."""
    return [name[:100] for name in names[:20]]
