"""The ways in which the weights of a checkpoint lie on the hub, and which are taken."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from huggingface_hub import constants

from mmlab.embed import ModelError, load_for, load_model
from mmlab.items.files import project
from tests.embed.hub import Pull, commit_name, pickled, read_files, sharded, without

MAIN, PULL = commit_name("a"), commit_name("b")
SAFE, PICKLE = "model.safetensors", "pytorch_model.bin"
CONVERTED = r"main has no safetensors; took those of the hub's conversion request, commit b{12}$"
PICKLED = r"there are no safetensors; took {}, read with weights_only=True$"


@pytest.fixture(scope="module", params=["clip", "mpnet"])
def checkpoint(request, folders):
    """The family, its files without weights, and the weights as safetensors: a CLIP and a text encoder."""
    files = read_files(folders(request.param))
    return request.param, without(files, SAFE), files[SAFE]


def lay(way, rest, weights):
    """The repository's files and its pull requests."""
    both = rest | {PICKLE: pickled(weights)}
    return {
        "safetensors": (rest | {SAFE: weights, PICKLE: b"not read"}, []),
        "safetensors in shards": (rest | sharded(weights), []),
        "a conversion request": (both, [Pull({SAFE: weights})]),
        "a conversion request in shards": (both, [Pull(sharded(weights))]),
        "a pickle": (both, []),
        "a pickle in shards": (rest | sharded(weights, "bin"), []),
    }[way]


TAKEN = {
    "safetensors": (MAIN, ""),
    "safetensors in shards": (MAIN, ""),
    "a conversion request": (PULL, CONVERTED),
    "a conversion request in shards": (PULL, CONVERTED),
    "a pickle": (f"{MAIN}:{PICKLE}", PICKLED.format(PICKLE)),
    "a pickle in shards": (f"{MAIN}:{PICKLE}.index.json", PICKLED.format(f"{PICKLE}.index.json")),
}


@pytest.mark.parametrize("way", TAKEN)
def test_weights_are_found_where_they_lie(way, checkpoint, models, hub, logged, capfd, monkeypatch):
    family, rest, weights = checkpoint
    files, pulls = lay(way, rest, weights)
    hub.add("owner/name", files, pulls=pulls)
    model = load_model("owner/name", device="cpu")
    revision, line = TAKEN[way]
    assert (model.space.model, model.space.revision) == ("owner/name", revision)
    assert_same_vectors(model, models(family))
    assert_one_line(logged, line)
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = load_model("owner/name", device="cpu")
    assert (again.space, len(hub.requests)) == (model.space, asked)  # what lies in the cache loads
    assert capfd.readouterr().out == ""


def assert_same_vectors(model, other):
    np.testing.assert_allclose(model.embed_texts(["a dog"])[0], other.embed_texts(["a dog"])[0], atol=1e-6)


def assert_one_line(logged, line):
    import re

    assert len(logged) == bool(line)
    assert all(re.search(rf"^model 'owner/name': {line}", text) for text in logged), logged


@pytest.mark.parametrize(
    "fields",
    [
        {"author": "stranger"},
        {"title": "Better weights"},
        {"status": "closed"},
        {"parent": commit_name("e")},  # main has moved on since
    ],
    ids=str,
)
def test_only_an_open_request_of_the_hubs_bot_for_this_commit_is_taken(fields, folders, hub):
    files = read_files(folders("clip"))
    rest = without(files, SAFE)
    pull = Pull({SAFE: b"other weights"}, **fields)
    hub.add("owner/name", rest | {PICKLE: pickled(files[SAFE])}, pulls=[pull])
    assert load_model("owner/name", device="cpu").space.revision == f"{MAIN}:{PICKLE}"


def test_the_bots_request_is_found_among_others(folders, hub):
    files = read_files(folders("clip"))
    main = without(files, SAFE) | {PICKLE: pickled(files[SAFE])}
    others = [
        Pull({SAFE: b""}, 3, author="x", commit=commit_name("c")),
        Pull({}, 4, "hi", commit=commit_name("d")),
    ]
    hub.add("owner/name", main, pulls=[*others, Pull({SAFE: files[SAFE]}, 5)])
    assert load_model("owner/name", device="cpu").space.revision == PULL


def test_a_repository_without_discussions_has_no_request(folders, hub):
    files = read_files(folders("clip"))
    hub.add("owner/name", without(files, SAFE) | {PICKLE: pickled(files[SAFE])}, discussions=False)
    assert load_model("owner/name", device="cpu").space.revision == f"{MAIN}:{PICKLE}"


def test_weights_that_cannot_be_read_are_named(folders, hub):
    rest = without(read_files(folders("clip")), SAFE)
    hub.add("owner/name", rest | {"tf_model.h5": b"x", "model.gguf": b"x", "README.md": b"x"})
    with pytest.raises(
        ModelError,
        match=r"'owner/name': its weights cannot be read: expected model.safetensors or pytorch_model.bin, whole or "
        r"in shards, found only model.gguf, tf_model.h5: save them with save_pretrained, or give another checkpoint",
    ):
        load_model("owner/name", device="cpu")


def test_a_repository_that_holds_no_checkpoint(hub):
    hub.add("owner/name", {"README.md": b"x", "model.gguf": b"x"})
    with pytest.raises(
        ModelError,
        match=r"holds no config.json, modules.json or open_clip_config.json, found only model.gguf: give ",
    ):
        load_model("owner/name", device="cpu")


def test_an_id_that_the_hub_does_not_know(hub):
    with pytest.raises(
        ModelError,
        match=r"'openai/clip-vit-base-patch33': its config cannot be read .*404.*check the name and the network, "
        r"or give 'demo' or a folder; did you mean openai/clip-vit-base-patch32\?",
    ):
        load_model("openai/clip-vit-base-patch33", device="cpu")


def test_a_shard_that_is_missing(folders, hub):
    files = read_files(folders("clip"))
    parts = without(sharded(files[SAFE]), "-00002-of")
    hub.add("owner/name", without(files, SAFE) | parts)
    with pytest.raises(ModelError, match=r"names model-00002-of-00002.safetensors, which is not there"):
        load_model("owner/name", device="cpu")


@pytest.mark.parametrize("index", [b"[", b"[]", b'{"weight_map": {"a": "../../model.safetensors"}}'])
def test_an_index_that_cannot_be_read_or_leads_elsewhere(index, folders, hub):
    files = without(read_files(folders("clip")), SAFE)
    hub.add("owner/name", files | {f"{SAFE}.index.json": index})
    with pytest.raises(
        ModelError, match=r"its model.safetensors.index.json (cannot be read|names '../../model)"
    ):
        load_model("owner/name", device="cpu")


class Code:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize("family", ["clip", "mpnet"])
def test_code_in_a_pickle_is_not_run(family, folders, tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    files = without(read_files(folders(family)), SAFE)
    for form, content in {
        "plain": pickle.dumps(Code()),
        "zip": save({"x": Code()}),
        "old": save_old(Code()),
    }.items():
        folder = write(tmp_path / form, files | {PICKLE: content})
        with pytest.raises(
            ModelError, match=r"its weights cannot be read: .* more than tensors.* none of it was run"
        ):
            load_model(str(folder), device="cpu")
    assert not (tmp_path / "was-run").exists()
    torch.load(tmp_path / "zip" / PICKLE, weights_only=False)
    assert (tmp_path / "was-run").exists()  # it does run where pickles are trusted


def save(content):
    import torch

    written = io.BytesIO()
    torch.save(content, written)
    return written.getvalue()


def save_old(content):
    import torch

    written = io.BytesIO()
    torch.save(content, written, _use_new_zipfile_serialization=False)
    return written.getvalue()


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_pickle_that_unpacks_to_more_than_its_size_is_refused(folders, tmp_path):
    files = read_files(folders("clip"))
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(pickled(files[SAFE]))) as stored,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in stored.namelist():
            archive.writestr(name, stored.read(name))
        archive.writestr("archive/data/bomb", bytes(10_000_000))
    folder = write(tmp_path / "bomb", without(files, SAFE) | {PICKLE: packed.getvalue()})
    with pytest.raises(
        ModelError, match=r"pytorch_model.bin has [\d,]+ bytes and would unpack to 10,\d+,\d+"
    ):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("form", [pickled, lambda safe: save_old(load_safe(safe))], ids=["zip", "old"])
def test_a_folder_with_a_pickle_only(form, folders, models, tmp_path, logged):
    files = read_files(folders("clip"))
    folder = write(tmp_path / "own", without(files, SAFE) | {PICKLE: form(files[SAFE])})
    model = load_model(str(folder), device="cpu")
    assert_same_vectors(model, models("clip"))
    assert PICKLE in "".join(logged)
    (folder / PICKLE).write_bytes(form(other_weights(files[SAFE])))
    other = load_model(str(folder), device="cpu")
    assert other.space.revision != model.space.revision


def load_safe(content):
    from safetensors.torch import load

    return load(content)


def other_weights(content):
    from safetensors.torch import load, save

    return save({name: tensor + 1 for name, tensor in load(content).items()})


def test_a_pickle_beside_safetensors_is_no_part_of_the_revision(folders, models, tmp_path):
    folder = write(tmp_path / "both", read_files(folders("clip")) | {PICKLE: b"not read"})
    assert load_model(str(folder), device="cpu").space.revision == models("clip").space.revision


def test_the_model_of_a_space_is_read_at_its_own_commit(folders, models, hub):
    files = read_files(folders("clip"))
    main = without(files, SAFE) | {PICKLE: pickled(files[SAFE])}
    hub.add("owner/name", main)
    space = load_model("owner/name", device="cpu").space
    newer = main | {SAFE: other_weights(files[SAFE])}
    hub.add("owner/name", newer, commit=commit_name("c"), older={MAIN: main})
    assert load_model("owner/name", device="cpu").space.revision == commit_name("c")
    model = load_for(space, device="cpu")
    assert model.space == space
    assert_same_vectors(model, models("clip"))


def test_a_conversion_request_that_comes_later_changes_no_vectors_that_are_there(folders, hub):
    files = read_files(folders("clip"))
    main = without(files, SAFE) | {PICKLE: pickled(files[SAFE])}
    hub.add("owner/name", main)
    space = load_model("owner/name", device="cpu").space
    hub.add("owner/name", main, pulls=[Pull({SAFE: files[SAFE]})])
    assert load_for(space, device="cpu").space == space
    assert load_model("owner/name", device="cpu").space.revision == PULL


@pytest.mark.slow
def test_a_user_with_an_endpoint_of_their_own_is_told_which_weights_were_taken(folders, hub, tmp_path):
    """In a process of its own, as a user has it: nothing of this one is changed."""
    files = read_files(folders("clip"))
    hub.add(
        "openai/clip-vit-base-patch32",
        without(files, SAFE) | {PICKLE: pickled(files[SAFE])},
        pulls=[Pull({SAFE: files[SAFE]})],
    )
    code = (
        "from mmlab.embed import load_model; m = load_model('openai/clip-vit-base-patch32', device='cpu'); "
        "print(m.space.revision)"
    )
    cache = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(tmp_path / "own"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | cache | {"PYTHONPATH": str(project())},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == PULL
    assert done.stderr.strip().splitlines() == [
        "model 'openai/clip-vit-base-patch32': main has no safetensors; took those of the hub's conversion request, "
        "commit bbbbbbbbbbbb"
    ]


# README's models: the family that their files are drawn from here, which weights they have and what lies beside them,
# as listed in public pages and code, or by what the hub answered. Where no listing is known (""), the files are as
# the library saves them, and must load however the weights lie.
TOKENIZER = "tokenizer.json tokenizer_config.json special_tokens_map.json"
PUBLISHED = {
    "openai/clip-vit-base-patch32": (
        "old_clip",
        "a conversion request",
        "config.json preprocessor_config.json tokenizer_config.json tokenizer.json vocab.json merges.txt",
    ),
    "google/siglip-base-patch16-224": (
        "siglip", "safetensors", "config.json preprocessor_config.json spiece.model",
    ),
    "google/siglip2-base-patch16-224": (
        "siglip2", "safetensors", f"config.json preprocessor_config.json {TOKENIZER}",
    ),
    "BAAI/AltCLIP": ("altclip", "a conversion request", ""),
    "OFA-Sys/chinese-clip-vit-base-patch16": (
        "chinese_clip", "a conversion request", "config.json preprocessor_config.json vocab.txt",
    ),
    "kakaobrain/align-base": ("align", "", ""),
    "facebook/metaclip-2-worldwide-huge-quickgelu": ("metaclip2", "", ""),
    "Salesforce/blip-itm-base-coco": ("blip", "a pickle", ""),
    "Salesforce/blip2-itm-vit-g": ("blip2", "", ""),
    "sentence-transformers/all-mpnet-base-v2": (
        "mpnet", "safetensors",
        f"modules.json config.json vocab.txt {TOKENIZER} sentence_bert_config.json config_sentence_transformers.json "
        "1_Pooling/config.json",
    ),
    "facebook/dinov2-base": ("dinov2", "", "config.json preprocessor_config.json"),
    "google/vit-base-patch16-224": ("vit", "safetensors", "config.json preprocessor_config.json"),
    "laion/clap-htsat-unfused": ("clap", "a conversion request", ""),
    "facebook/pe-av-large": ("pe_audio", "", ""),
    "microsoft/xclip-base-patch32": ("xclip", "safetensors", ""),
    "sentence-transformers/clip-ViT-B-32": ("clip_sentences", "", ""),
    "Qwen/Qwen3-VL-Embedding-2B": ("vlm", "", ""),
    "naver/splade-cocondenser-ensembledistil": ("splade", "safetensors", ""),
    "lightonai/GTE-ModernColBERT-v1": ("colbert", "safetensors", ""),
    "vidore/colqwen2-v1.0-hf": ("colqwen2", "", ""),
}  # fmt: skip
CASES = [(id, way) for id, (_, known, _) in PUBLISHED.items() for way in ([known] if known else TAKEN)]


def as_published(files, names):
    """Those of the files that are listed; vocabularies as older versions of the library wrote them."""
    if not names:
        return {
            name: content for name, content in files.items() if name != SAFE
        }  # modules have weights of their own
    known = dict(files)
    if "tokenizer.json" in files and "sentencepiece" not in names:
        tokens = json.loads(files["tokenizer.json"])["model"]
        settings = json.loads(files["tokenizer_config.json"])
        special = {name: token for name, token in settings.items() if name.endswith("_token")}
        known["special_tokens_map.json"] = json.dumps(special).encode()
        vocabulary = tokens["vocab"] if isinstance(tokens["vocab"], dict) else {}
        known["vocab.json"] = json.dumps(vocabulary).encode()
        known["vocab.txt"] = "\n".join(sorted(vocabulary, key=vocabulary.get)).encode()
        known["merges.txt"] = b"#version: 0.2\n"
    return {name: known[name] for name in names.split()}


def test_readme_names_these_models():
    readme = (project() / "README.md").read_text(encoding="utf-8")
    table = readme.split("\n## Models\n")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and "`" in row]
    ids = {row.split("`")[1] for row in rows if "cross-encoders" not in row}
    assert ids == set(PUBLISHED)


@pytest.mark.parametrize(("id", "way"), CASES)
def test_a_model_of_the_readme_loads_as_it_is_published(id, way, folders, models, hub):
    family, _, names = PUBLISHED[id]
    files = read_files(folders(family))
    laid, pulls = lay(way, as_published(files, names), files[SAFE])
    hub.add(id, laid, pulls=pulls)
    model = load_model(id, device="cpu")
    assert (model.space.model, model.space.revision) == (id, TAKEN[way][0])
    assert model.space.dimension == models(family).space.dimension
    if "text" in model.modalities:
        assert_same_vectors(model, models(family))


def test_a_gated_model_says_how_to_get_in(folders, hub):
    hub.add("owner/name", read_files(folders("clip")), gated=True)
    with pytest.raises(
        ModelError, match=r"'owner/name' is gated: accept its terms at .*owner/name, .*HF_TOKEN"
    ):
        load_model("owner/name", device="cpu")


@pytest.mark.parametrize("name", [SAFE, PICKLE])
def test_a_clone_without_lfs_says_how_to_fetch_the_weights(name, folders, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 605247071\n"
    folder = write(tmp_path / "clone", without(read_files(folders("clip")), SAFE) | {name: pointer})
    with pytest.raises(
        ModelError, match=rf"its {name} is a pointer of Git LFS, not the weights: run git lfs pull"
    ):
        load_model(str(folder), device="cpu")


def test_json_files_of_a_repository_that_is_not_used_are_not_fetched(folders, hub):
    extra = {
        "onnx/config.json": b"{}",
        "training/log.json": b"{}",
        "model.fp16.safetensors": b"x",
        "x.onnx": b"x",
    }
    hub.add("owner/name", read_files(folders("clip")) | extra)
    load_model("owner/name", device="cpu")
    fetched = {
        line.rsplit("/", 1)[1] for line in hub.requests if line.startswith("GET") and "/resolve/" in line
    }
    assert fetched == {
        "config.json",
        SAFE,
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert json.loads((folders("clip") / "config.json").read_text())["model_type"] == "clip"
