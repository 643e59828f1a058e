import pytest

from mmlab.runs import check_dataset, check_model, check_runs, start_step


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", ["demo", "openai/clip-vit-base-patch32", "gpt2"])
def test_hub_ids_are_taken_as_they_are(model):
    assert check_model(model) == model


def test_a_model_folder_becomes_absolute(here):
    (here / "models" / "clip").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"model models/clip is no model folder: it holds no config\.json"):
        check_model("models/clip")
    (here / "models" / "clip" / "config.json").touch()
    assert check_model("models/clip") == check_model("./models/clip") == str(here / "models" / "clip")
    with pytest.raises(ValueError, match=r"model \./none does not exist"):
        check_model("./none")


def test_a_dataset_is_there_or_on_the_hub(here):
    assert check_dataset("hf://owner/name") == "hf://owner/name"
    assert check_dataset(".") == str(here)
    with pytest.raises(ValueError, match=r"dataset .*none: expected a folder .*; nothing is there"):
        check_dataset("none")


def test_a_run_has_a_finished_notebook():
    start_step("01_ingest", "a").finish("")
    check_runs(["a"])
    with pytest.raises(ValueError, match="no finished notebook of a run 'b'"):
        check_runs(["a", "b"])
