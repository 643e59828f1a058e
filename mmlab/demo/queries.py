"""Queries as people type them, for the images of the demo catalogue: what an image shows is known, so its relevance is.

An image has relevance 2 for a query where everything asked for holds; 1 where the first thing asked for does, which is
the product where the query names one; and 0 where even that does not hold, or something unwanted is shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mmlab.demo.products import (
    BACKGROUND_PHRASES,
    CATEGORY_PHRASES,
    COMPANION_PHRASES,
    PATTERN_PHRASES,
    Product,
    pick_one,
    with_article,
)

QUERIES_OF_KIND = 30  # at most; fewer where the products give no more that differ
ATTRIBUTES = ("category", "colour", "pattern", "background", "companion")
QUERY_COLUMNS, QREL_COLUMNS = ["query_id", "text", "kind", "language"], ["query_id", "image", "relevance"]

Attributes = Mapping[str, np.ndarray]  # attribute -> its value for each product, "" for none


@dataclass(frozen=True)
class Query:
    """A query, and what it asks for: attribute -> value, the most important first; and what must not be shown."""

    text: str
    asked: Mapping[str, str]
    unwanted: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    kind: str = ""


def compose_queries(shown: Mapping[str, Product]) -> list[Query]:
    """Compose up to QUERIES_OF_KIND queries of each kind for the products of the test split.

    `shown`: image -> its product, of all splits. The texts differ, each has an image of relevance 2 in the test split,
    and the same products give the same queries; there are none where no product is of the test split.
    """
    products = [product for product in shown.values() if product.split == "test"]
    attributes = attributes_of(products)
    queries: dict[str, Query] = {}  # by the text in small letters
    for number, (kind, write) in enumerate(WRITERS.items()):
        rng = np.random.default_rng(number)  # of the kind: other kinds may change without it
        full = len(queries) + QUERIES_OF_KIND
        for place in rng.permutation(len(products)):
            query = write(products[place], rng)
            if query and query.text.lower() not in queries and 2 in grade(query, attributes):
                queries[query.text.lower()] = replace(query, kind=kind)
            if len(queries) == full:
                break
    return list(queries.values())


def attributes_of(products: Sequence[Product]) -> Attributes:
    """Return the values of each attribute that a query can ask for, (N,) strings each."""
    return {name: np.array([getattr(one, name) or "" for one in products], str) for name in ATTRIBUTES}


def grade(query: Query, attributes: Attributes) -> np.ndarray:
    """Return the relevance of each product for a query: (N,) int64 of 0, 1 and 2."""
    holds = [attributes[name] == value for name, value in query.asked.items()]
    relevance = holds[0].astype(np.int64) + np.all(holds, axis=0)
    for name, value in query.unwanted.items():
        relevance[attributes[name] == value] = 0
    return relevance


def tabulate_queries(queries: Sequence[Query]) -> pd.DataFrame:
    """Return query_id, text, kind and language (en, de, es): a row per query."""
    rows = [(query_id, one.text, one.kind, one.language) for query_id, one in _with_ids(queries)]
    return pd.DataFrame(rows, columns=QUERY_COLUMNS)


def tabulate_qrels(queries: Sequence[Query], shown: Mapping[str, Product]) -> pd.DataFrame:
    """Return query_id, image and relevance (1 or 2): a row per query and image of `shown` that is relevant to it.

    All images of `shown` were compared with all queries: what has no row is not relevant.
    """
    attributes, images = attributes_of(list(shown.values())), list(shown)
    rows = [
        (query_id, images[place], relevance[place])
        for query_id, query in _with_ids(queries)
        for relevance in [grade(query, attributes)]
        for place in np.flatnonzero(relevance)
    ]
    return pd.DataFrame(rows, columns=QREL_COLUMNS)


def _with_ids(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    return [(f"q{number:03}", query) for number, query in enumerate(queries, 1)]


def _asked(product: Product, *names: str) -> dict[str, str]:
    """Return what a query asks for that names these attributes of a product."""
    return {name: getattr(product, name) for name in names}


def _write_name(product: Product, rng: np.random.Generator) -> Query:
    return Query(product.category, _asked(product, "category"))


def _write_colour_and_name(product: Product, rng: np.random.Generator) -> Query:
    return Query(f"{product.colour} {product.category}", _asked(product, "category", "colour"))


def _write_attribute(product: Product, rng: np.random.Generator) -> Query:
    """Ask for a colour, a pattern, both, or for what stands beside the product."""
    choices = [(product.colour, ["colour"])]
    if product.pattern != "plain":
        choices += [(product.pattern, ["pattern"])]
        choices += [(f"{product.colour} and {product.pattern}", ["colour", "pattern"])]
    if product.companion:
        choices += [(f"next to {with_article(product.companion)}", ["companion"])]
    text, names = choices[rng.integers(len(choices))]
    return Query(text, _asked(product, *names))


def _write_background(product: Product, rng: np.random.Generator) -> Query:
    """Ask for a place, or for a product there."""
    place = pick_one(rng, BACKGROUND_PHRASES[product.background])
    if rng.random() < 0.5:
        return Query(place, _asked(product, "background"))
    return Query(f"{product.category} {place}", _asked(product, "category", "background"))


def _write_negation(product: Product, rng: np.random.Generator) -> Query:
    """Ask for products of this name, but for none of this colour or pattern."""
    asked, nouns = _asked(product, "category"), PATTERN_PHRASES[product.pattern][1]
    if nouns and rng.random() < 0.5:
        return Query(f"{product.category} without {pick_one(rng, nouns)}", asked, _asked(product, "pattern"))
    text = pick_one(rng, NEGATIONS).format(name=product.category, colour=product.colour)
    return Query(text, asked, _asked(product, "colour"))


def _write_synonym(product: Product, rng: np.random.Generator) -> Query | None:
    synonym = SYNONYMS.get(product.category)
    return Query(synonym, _asked(product, "category")) if synonym else None


def _write_typo(product: Product, rng: np.random.Generator) -> Query | None:
    """Misspell every word of a colour and a name; none of a shirt, of which a slip makes a rude word."""
    if product.category == "t-shirt":
        return None
    words = f"{product.colour} {product.category}".split()
    return Query(" ".join(misspell(word, rng) for word in words), _asked(product, "category", "colour"))


def misspell(word: str, rng: np.random.Generator) -> str:
    """Swap two neighbouring letters of a word; from five letters on it may leave out or double one instead.

    >>> misspell("red", np.random.default_rng(0)), misspell("teapot", np.random.default_rng(0))
    ('rde', 'teapo')
    """
    letters = [place for place in range(len(word) - 1) if word[place : place + 2].isalpha()]
    place = pick_one(rng, [place for place in letters if word[place] != word[place + 1]])
    first, second = word[place], word[place + 1]
    slip = pick_one(rng, (second + first, first, first + second + second)[: 1 if len(word) < 5 else 3])
    return word[:place] + slip + word[place + 2 :]


def _write_sentence(product: Product, rng: np.random.Generator) -> Query:
    """Ask for a product with all that is known of it, in a sentence with words that say nothing about it."""
    names, pattern, beside = ["category", "colour"], "", ""
    if product.pattern != "plain":
        names, pattern = [*names, "pattern"], f"{product.pattern} "
    names.append("background")
    if product.companion:
        names.append("companion")
        beside = f" next to {with_article(COMPANION_PHRASES[product.companion][0])}"
    thing = f"{product.colour} {pattern}{CATEGORY_PHRASES[product.category][0]}"
    shown = BACKGROUND_PHRASES[product.background][0] + beside
    text = pick_one(rng, SENTENCES).format(thing=thing, a_thing=with_article(thing), shown=shown)
    return Query(text, _asked(product, *names))


@dataclass(frozen=True)
class Words:
    """The words of a language; `nouns`: category -> noun and gender, `colours`: colour -> gender -> word.

    `form`: where the colour goes; patterns and places follow.
    """

    language: str
    form: str
    nouns: Mapping[str, tuple[str, str]]
    colours: Mapping[str, Mapping[str, str]]
    patterns: Mapping[str, str]
    places: Mapping[str, str]

    def write(self, product: Product, rng: np.random.Generator) -> Query:
        """Ask for a product by its name, mostly with its colour, often with its pattern or its place too."""
        noun, gender = self.nouns[product.category]
        coloured = self.form.format(colour=self.colours[product.colour][gender], noun=noun)
        choices = [(noun, ["category"]), (coloured, ["category", "colour"])]
        choices += [(f"{coloured} {self.places[product.background]}", ["category", "colour", "background"])]
        if product.pattern in self.patterns:
            choices += [(f"{coloured} {self.patterns[product.pattern]}", ["category", "colour", "pattern"])]
        text, names = choices[rng.integers(len(choices))]
        return Query(text, _asked(product, *names), language=self.language)


NEGATIONS = (
    "{name}, not {colour}",
    "{name}, anything but {colour}",
    "{name} but not in {colour}",
    "{name} in any colour except {colour}",
)
SENTENCES = (
    "I am looking for a present for my sister, ideally {a_thing} {shown}, and it should arrive before her birthday.",
    "Could you show me every {thing} that you have {shown}, because I saw one last week and cannot forget it?",
    "Does anybody still sell {a_thing} like the one in the advertisement, where it was shown {shown}?",
)
# Other words for categories: no caption has them, and no other category is called so.
SYNONYMS = {
    "mug": "cup", "teapot": "kettle", "bottle": "flask", "cooking pot": "stockpot", "vase": "urn",
    "t-shirt": "short-sleeved top", "dress": "frock", "trousers": "slacks", "sock": "stocking", "mitten": "glove",
    "cap": "hat", "sneaker": "trainer", "boot": "wellington", "backpack": "knapsack", "handbag": "shoulder bag",
    "suitcase": "luggage", "umbrella": "brolly", "alarm clock": "timepiece", "watering can": "plant sprinkler",
    "birdhouse": "bird house", "tent": "canvas shelter", "guitar": "six-string", "drum": "tom-tom",
    "camera": "point-and-shoot", "car": "automobile", "sailboat": "yacht", "rocket": "spaceship",
    "hot-air balloon": "aerostat", "teddy bear": "stuffed animal", "rubber duck": "ducky",
}  # fmt: skip
GERMAN_COLOURS = {
    "red": "rot", "orange": "orangefarben", "yellow": "gelb", "green": "grün", "blue": "blau", "purple": "violett",
    "pink": "rosafarben", "brown": "braun", "black": "schwarz", "white": "weiß",
}  # fmt: skip
GERMAN = Words(
    language="de",
    form="{colour} {noun}",
    nouns={
        "mug": ("Tasse", "f"), "teapot": ("Teekanne", "f"), "bottle": ("Flasche", "f"),
        "cooking pot": ("Kochtopf", "m"), "vase": ("Vase", "f"), "t-shirt": ("T-Shirt", "n"), "dress": ("Kleid", "n"),
        "trousers": ("Hose", "f"), "sock": ("Socke", "f"), "mitten": ("Fäustling", "m"), "cap": ("Schirmmütze", "f"),
        "sneaker": ("Turnschuh", "m"), "boot": ("Stiefel", "m"), "backpack": ("Rucksack", "m"),
        "handbag": ("Handtasche", "f"), "suitcase": ("Koffer", "m"), "umbrella": ("Regenschirm", "m"),
        "chair": ("Stuhl", "m"), "armchair": ("Sessel", "m"), "lamp": ("Lampe", "f"), "alarm clock": ("Wecker", "m"),
        "watering can": ("Gießkanne", "f"), "bucket": ("Eimer", "m"), "birdhouse": ("Vogelhaus", "n"),
        "tent": ("Zelt", "n"), "guitar": ("Gitarre", "f"), "drum": ("Trommel", "f"), "camera": ("Kamera", "f"),
        "kite": ("Drachen", "m"), "car": ("Auto", "n"), "sailboat": ("Segelboot", "n"), "rocket": ("Rakete", "f"),
        "hot-air balloon": ("Heißluftballon", "m"), "teddy bear": ("Teddybär", "m"), "rubber duck": ("Badeente", "f"),
    },
    colours={
        colour: {gender: word + ending for gender, ending in (("m", "er"), ("f", "e"), ("n", "es"))}
        for colour, word in GERMAN_COLOURS.items()
    },
    patterns={
        "striped": "mit Streifen", "dotted": "mit Punkten", "checked": "mit Karomuster", "zigzag": "mit Zickzackmuster",
    },
    places={
        "wooden table": "auf einem Holztisch", "brick wall": "vor einer Ziegelmauer", "meadow": "auf einer Wiese",
        "night sky": "unter dem Nachthimmel", "photo studio": "im Fotostudio", "tiled floor": "auf einem Fliesenboden",
        "sandy beach": "am Sandstrand", "snowy mountains": "vor verschneiten Bergen",
        "city skyline": "vor den Hochhäusern einer Stadt", "bookshelf": "vor einem Bücherregal",
        "autumn forest": "im herbstlichen Wald",
    },
)  # fmt: skip
SPANISH_COLOURS = {
    "red": ("rojo", "roja"), "orange": ("naranja", "naranja"), "yellow": ("amarillo", "amarilla"),
    "green": ("verde", "verde"), "blue": ("azul", "azul"), "purple": ("morado", "morada"), "pink": ("rosa", "rosa"),
    "brown": ("marrón", "marrón"), "black": ("negro", "negra"), "white": ("blanco", "blanca"),
}  # fmt: skip
SPANISH = Words(
    language="es",
    form="{noun} {colour}",
    nouns={
        "mug": ("taza", "f"), "teapot": ("tetera", "f"), "bottle": ("botella", "f"), "cooking pot": ("olla", "f"),
        "vase": ("florero", "m"), "t-shirt": ("camiseta", "f"), "dress": ("vestido", "m"),
        "trousers": ("pantalón", "m"), "sock": ("calcetín", "m"), "mitten": ("manopla", "f"), "cap": ("gorra", "f"),
        "sneaker": ("zapatilla", "f"), "boot": ("bota", "f"), "backpack": ("mochila", "f"), "handbag": ("bolso", "m"),
        "suitcase": ("maleta", "f"), "umbrella": ("paraguas", "m"), "chair": ("silla", "f"),
        "armchair": ("sillón", "m"), "lamp": ("lámpara", "f"), "alarm clock": ("despertador", "m"),
        "watering can": ("regadera", "f"), "bucket": ("cubo", "m"), "birdhouse": ("casita para pájaros", "f"),
        "tent": ("tienda de campaña", "f"), "guitar": ("guitarra", "f"), "drum": ("tambor", "m"),
        "camera": ("cámara de fotos", "f"), "kite": ("cometa", "f"), "car": ("coche", "m"),
        "sailboat": ("velero", "m"), "rocket": ("cohete", "m"), "hot-air balloon": ("globo aerostático", "m"),
        "teddy bear": ("oso de peluche", "m"), "rubber duck": ("pato de goma", "m"),
    },
    colours={colour: dict(zip("mf", words, strict=True)) for colour, words in SPANISH_COLOURS.items()},
    patterns={
        "striped": "a rayas", "dotted": "de lunares", "checked": "a cuadros", "zigzag": "con dibujo en zigzag",
    },
    places={
        "wooden table": "sobre una mesa de madera", "brick wall": "delante de un muro de ladrillo",
        "meadow": "en un prado", "night sky": "bajo el cielo nocturno", "photo studio": "en un estudio fotográfico",
        "tiled floor": "sobre un suelo de baldosas", "sandy beach": "en una playa de arena",
        "snowy mountains": "delante de montañas nevadas", "city skyline": "delante de los rascacielos de una ciudad",
        "bookshelf": "delante de una estantería con libros", "autumn forest": "en un bosque otoñal",
    },
)  # fmt: skip
WRITERS: dict[str, Callable[[Product, np.random.Generator], Query | None]] = {
    "name": _write_name,
    "colour and name": _write_colour_and_name,
    "attribute": _write_attribute,
    "background": _write_background,
    "negation": _write_negation,
    "synonym": _write_synonym,
    "typo": _write_typo,
    "long sentence": _write_sentence,
    "German": GERMAN.write,
    "Spanish": SPANISH.write,
}
