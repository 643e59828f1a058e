"""The words that captions have for attributes. The first of each is the usual one.

No word stands for two attributes: a background is never named by a colour of products, a place never by a companion.
"""

CATEGORIES = {
    "mug": ("mug", "coffee mug"),
    "teapot": ("teapot", "tea pot"),
    "bottle": ("bottle", "glass bottle"),
    "cooking pot": ("cooking pot", "saucepan"),
    "vase": ("vase", "flower vase"),
    "t-shirt": ("t-shirt", "tee"),
    "dress": ("dress", "summer dress"),
    "trousers": ("pair of trousers", "pair of pants"),
    "sock": ("sock", "woollen sock"),
    "mitten": ("mitten", "winter mitten"),
    "cap": ("cap", "baseball cap"),
    "sneaker": ("sneaker", "running shoe"),
    "boot": ("boot", "rubber boot"),
    "backpack": ("backpack", "rucksack"),
    "handbag": ("handbag", "purse"),
    "suitcase": ("suitcase", "travel case"),
    "umbrella": ("umbrella", "parasol"),
    "chair": ("chair", "dining chair"),
    "armchair": ("armchair", "easy chair"),
    "lamp": ("lamp", "table lamp"),
    "alarm clock": ("alarm clock", "bedside clock"),
    "watering can": ("watering can", "garden watering can"),
    "bucket": ("bucket", "pail"),
    "birdhouse": ("birdhouse", "nesting box"),
    "tent": ("tent", "camping tent"),
    "guitar": ("guitar", "acoustic guitar"),
    "drum": ("drum", "snare drum"),
    "camera": ("camera", "photo camera"),
    "kite": ("kite", "toy kite"),
    "car": ("car", "toy car"),
    "sailboat": ("sailboat", "sailing boat"),
    "rocket": ("rocket", "toy rocket"),
    "hot-air balloon": ("hot-air balloon", "air balloon"),
    "teddy bear": ("teddy bear", "teddy"),
    "rubber duck": ("rubber duck", "bath duck"),
}
COLOURS = {
    "red": ("red", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "lemon-yellow"),
    "green": ("green", "emerald"),
    "blue": ("blue", "cobalt"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy pink"),
    "brown": ("brown", "chestnut"),
    "black": ("black", "jet-black"),
    "white": ("white", "snow-white"),
}
# As an adjective, and as what the product is "with"; plain things are seldom called so.
PATTERNS = {
    "plain": (("", "", "plain", "solid"), ()),
    "striped": (("striped", "stripy"), ("stripes",)),
    "dotted": (("dotted", "polka-dot", "spotted"), ("polka dots", "dots")),
    "checked": (("checked", "chequered"), ("a check pattern", "checks")),
    "zigzag": (("zigzag", "chevron"), ("zigzags", "a zigzag pattern")),
}
BACKGROUNDS = {
    "wooden table": ("on a wooden table", "on a wooden tabletop"),
    "brick wall": ("in front of a brick wall", "against a brick wall"),
    "meadow": ("in a meadow", "on the grass of a meadow"),
    "night sky": ("under a night sky", "under the stars at night"),
    "photo studio": ("in a photo studio", "against a studio backdrop"),
    "tiled floor": ("on a tiled floor", "on kitchen tiles"),
    "sandy beach": ("on a sandy beach", "on the beach by the sea"),
    "snowy mountains": ("in front of snowy mountains", "in the snow with mountains behind"),
    "city skyline": ("in front of a city skyline", "on a city street at dusk"),
    "bookshelf": ("in front of a bookshelf", "in a library"),
    "autumn forest": ("in an autumn forest", "among autumn leaves in the woods"),
}
COMPANIONS = {
    "apple": ("apple", "juicy apple"),
    "banana": ("banana", "ripe banana"),
    "book": ("book", "thick book"),
    "candle": ("candle", "burning candle"),
    "cactus": ("cactus", "potted cactus"),
    "football": ("football", "soccer ball"),
    "gift box": ("gift box", "wrapped present"),
    "sunflower": ("sunflower", "tall sunflower"),
}
SIZES = {"small": ("small", "little"), "medium": ("medium-sized",), "large": ("large", "big")}
LIGHTS = {
    "daylight": ("in bright daylight", "in clear daylight"),
    "warm": ("in warm light", "in warm evening light"),
    "cool": ("in cool light", "in cool morning light"),
    "dim": ("in dim light", "in low light"),
}
