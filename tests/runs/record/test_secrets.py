import pytest

from mmlab.runs import start_step
from mmlab.runs.record.parameters import check_parameters, check_secrets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", "https://me:s3cret@host:6333"),
        ("store", "https://s3cret@host"),
        ("store", "HTTPS://me:s3cret@host"),
        ("store", "me:s3cret@host:6333"),
        ("store", "https://host/?api_key=s3cret"),
        ("store", "https://host#s3cret"),
        ("dataset", "hf://me:s3cret@owner/name"),
        ("models", ["demo", "https://me:s3cret@host/model"]),
        ("columns", [["image=https://me:s3cret@host"]]),
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(name, value):
    with pytest.raises(ValueError, match=f"parameter {name} is a URL with a name, a password") as found:
        check_secrets({name: value})
    assert "s3cret" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", ""),
        ("store", "https://host:6333"),
        ("store", "/home/me@work/store"),
        ("dataset", "hf://owner/name@main"),
        ("query", "what is this? a note: mail me@home"),
        ("k_values", [1, 5]),
        ("seed", 3),
    ],
)
def test_what_holds_no_secret_passes(name, value):
    check_secrets({name: value})


def test_a_key_of_the_environment_is_found_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    with pytest.raises(ValueError, match="parameter query contains the value of HF_TOKEN") as found:
        check_secrets({"query": "a dog hf_s3cret"})
    assert "s3cret" not in str(found.value)
    monkeypatch.setenv("HF_TOKEN", "a")
    check_secrets({"query": "a dog"})


def test_parameters_and_steps_are_checked(make_notebook, data_folder):
    notebook = make_notebook("03_index", 'name: str = "d"\nstore: str = ""')
    with pytest.raises(ValueError, match="parameter store is a URL"):
        check_parameters({"store": "https://me:s3cret@host"}, [notebook])
    with pytest.raises(ValueError, match="parameter store is a URL"):
        start_step("03_index", "r", store="https://me:s3cret@host")
    assert not data_folder.exists()
