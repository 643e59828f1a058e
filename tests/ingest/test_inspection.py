"""What a first look says of a dataset: counts, pairs, refusals, notes."""

from mmlab.ingest import Rules, inspect_dataset

LONG = "a red square on nothing"


def table(*rows, header="image,caption"):
    return "\n".join([header, *rows, ""])


def look(dataset, columns=(), source="auto", **rules):
    return inspect_dataset(dataset, source, columns, Rules(**rules), looks_only=True)


def test_what_there_is_is_counted(make):
    rows = [
        f"a.png,{LONG},train",
        f"a.png,{LONG}!,train",
        "b.png,,test",
        f"none.png,{LONG},test",
        f",{LONG},test",
    ]
    looked = look(
        make(
            {
                "captions.csv": table(*rows, header="image,caption,split"),
                "images/a.png": None,
                "b.png": None,
                "c.png": None,
            }
        )
    )
    assert (looked.kind, looked.images, looked.texts) == ("csv", 2, 2)
    assert looked.splits == {"train": 1, "test": 1}
    assert looked.guesses == {"by name in another folder": 1}
    assert looked.pairs.to_numpy().tolist() == [["images/a.png", LONG], ["images/a.png", LONG + "!"]]
    refused = looked.refused.set_index("reason")
    assert refused["count"].to_dict() == {"missing file": 1, "no image named": 1, "unlisted image": 1}
    assert refused["example"].tolist() == ["none.png", LONG, "c.png"]
    assert looked.table.to_numpy().tolist()[:4] == [
        ["images", 2],
        ["texts", 2],
        ["images in train", 1],
        ["images in test", 1],
    ]
    assert looked.sentence == (
        "Read as csv from captions.csv: 2 images and 2 texts, in the splits train (1), test (1); "
        "3 entries would be refused."
    )
    assert repr(looked).startswith("Inspection(") and looked.sentence in repr(looked)
    assert looked.notes == ["1 images found by name in another folder."]
    assert looked.advice == ""
    looked.check()


def test_as_plain_values_it_is_all_there(make):
    looked = look(make({"captions.csv": table(f"a.png,{LONG}"), "a.png": None}))
    assert looked.as_json() == {
        "source": "csv", "files": ["captions.csv"], "images": 1, "texts": 1, "splits": {}, "skipped": [], "unread": {},
        "pairs": [{"image": "a.png", "text": LONG}], "guesses": {}, "notes": [], "advice": "",
    }  # fmt: skip


def test_many_files_that_were_passed_over_are_counted(make):
    looked = look(make({"a.png": None, **{f"{n}.zip": "" for n in range(12)}}))
    assert len(looked.source.unread) == 12
    assert looked.notes[-2].endswith("unpack it")
    assert looked.notes[-1] == "2 more files were not read."


def test_what_may_stay_is_not_refused(make):
    folder = make({"captions.csv": table(f"a.png,{LONG}", f",{LONG}"), "a.png": None, "b.png": None})
    assert look(folder).refused["reason"].tolist() == ["no image named", "unlisted image"]
    assert look(folder, keep=["no image named", "unlisted image"]).refused.empty
