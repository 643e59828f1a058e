from mmlab.cli import main
from mmlab.runs import read_manifest, start_step


def test_a_comparison_is_a_run_of_its_own_with_a_report(here, tmp_path, capsys):
    for name in ("a", "b"):
        start_step("05_evaluate", name, seed=3).finish("")
    assert main(["compare", "a", "b", "-p", "seed=4"]) == 0
    folder = tmp_path / "data" / "runs" / "compare-a-b"
    assert capsys.readouterr().out == f"Report: {folder / 'index.html'}\n"
    steps = read_manifest("compare-a-b")["steps"]
    assert {name: record["parameters"] for name, record in steps.items()} == {
        "08_compare": {"seed": 4, "runs": ["a", "b"]}
    }
    assert (folder / "08_compare.html").is_file()


def test_tuning_goes_on_with_the_parameters_of_the_run(here, tmp_path):
    start_step("03_index", "a", seed=3, k="7").finish("")
    assert main(["tune", "a"]) == 0
    assert read_manifest("a")["steps"]["07_tune"]["parameters"] == {"seed": 3, "k": "7"}
    assert (tmp_path / "data" / "runs" / "a" / "07_tune.html").is_file()
