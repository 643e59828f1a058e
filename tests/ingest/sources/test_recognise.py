import pytest

from mmlab.ingest.sources.recognise import recognise

TABLE = "image\na.jpg\n"
TOKENS = "a.jpg#0\tA dog\n"
COCO = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}
KARPATHY = {"images": [{"filename": "a.jpg", "sentences": []}]}
IN_ORDER = [  # each comes before all that follow
    ("huggingface", "dataset_dict.json", "{}"),
    ("csv", "captions.csv", TABLE),
    ("jsonl", "metadata.jsonl", "{}"),
    ("flickr", "Flickr8k.token.txt", TOKENS),
    ("karpathy", "dataset_own.json", KARPATHY),
    ("coco", "annotations/captions_val.json", COCO),
    ("tsv", "other.tsv", TABLE),
    ("sidecar", "a.txt", "A dog"),
    ("images", "a.jpg", b""),
]


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_the_order_in_which_a_folder_is_looked_at(write, place):
    folder = write({name: content for _, name, content in IN_ORDER[place:]})
    kind, name, _ = IN_ORDER[place]
    found = recognise(folder)
    assert (found.kind, found.root) == (kind, folder)
    assert found.path == (folder if kind in ("huggingface", "sidecar", "images") else folder / name)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in IN_ORDER])
def test_a_kind_that_is_named_is_looked_for_alone(write, kind, name):
    folder = write({name: content for _, name, content in IN_ORDER})
    assert recognise(folder, kind).kind == kind


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("csv", "x.csv", TABLE),
        ("parquet", "X.PARQUET", b"PAR1"),
        ("flickr", "x.token", TOKENS),
        ("flickr", "results.csv", "image_name| comment_number| comment\n"),
        ("flickr", "captions.txt", "image,caption\n"),
        ("coco", "mine.json", COCO),
        ("karpathy", "mine.json", KARPATHY),
        ("coco", "captions_val.json", COCO),
    ],
)
def test_a_files_kind_is_seen(write, kind, name, content):
    folder = write({name: content})
    assert recognise(folder / name) == (kind, folder / name, folder)


def test_two_sources_of_one_rank(write):
    folder = write({"captions.csv": TABLE, "captions.tsv": TABLE})
    with pytest.raises(ValueError, match=r"several.*\['captions.csv', 'captions.tsv'\]: name one.*source="):
        recognise(folder)
    assert recognise(folder, "tsv").path.name == "captions.tsv"
    assert recognise(folder / "captions.csv").kind == "csv"


def test_flickrs_lemmas_are_no_captions(write):
    folder = write({"Flickr8k.token.txt": TOKENS, "Flickr8k.lemma.token.txt": TOKENS})
    assert recognise(folder).path.name == "Flickr8k.token.txt"


def test_other_json_files_named_dataset_are_not_karpathys(write):
    assert recognise(write({"dataset_infos.json": {}, "other.csv": TABLE})).kind == "csv"


@pytest.mark.parametrize("dataset", ["hf://owner/name", "hf:/owner/name", "owner/name", "hf://squad"])
def test_an_id_of_the_hub(dataset):
    found = recognise(dataset, "huggingface")
    assert (found.kind, found.path) == ("huggingface", dataset.removeprefix("hf:").lstrip("/"))


def test_an_id_that_is_none():
    with pytest.raises(ValueError, match=r"expected the id .* as hf://owner/name"):
        recognise("hf://a/b/c")
    with pytest.raises(ValueError, match=r"hf://a/b is of the kind huggingface, found source='csv'"):
        recognise("hf://a/b", "csv")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder or a file, found nothing there"):
        recognise(tmp_path / "nowhere")


def test_nothing_usable(write):
    with pytest.raises(FileNotFoundError, match=r"expected a table of captions .*; found \['notes.doc'\]"):
        recognise(write({"notes.doc": ""}))
    with pytest.raises(
        FileNotFoundError, match=r"a source of the kind coco; found \['notes.doc'\]: give the"
    ):
        recognise(write({}), "coco")


def test_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found an empty folder"):
        recognise(tmp_path)


def test_a_file_that_is_none_of_them(write):
    folder = write({"notes.doc": "", "mine.json": "{}"})
    for name in ("notes.doc", "mine.json"):
        with pytest.raises(ValueError, match=rf"found {name}: name its kind"):
            recognise(folder / name)
    with pytest.raises(ValueError, match=r"expected a folder for the kind images, found a file"):
        recognise(folder / "notes.doc", "images")
