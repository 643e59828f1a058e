import pytest
from click.testing import CliRunner

from mmlab.cli import cli
from mmlab.cli.group import plain_markdown, plain_text, print_table, split_parameters
from mmlab.evaluate.summaries import escape_markdown


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_explains_itself(command):
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.output
    assert f"mmlab {command}" in shown.output.partition("Examples:")[2]


def test_the_exit_codes_are_told():
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert all(f"\n    {code} " in shown for code in (0, 1, 2, 130))
    assert "..." not in shown.partition("Commands:")[2].partition("Exit codes:")[0]


def test_a_message_is_one_line_without_commands_to_the_terminal():
    assert (
        plain_text("it failed:\n  \x1b[1;31mred\x1b[0m\r\n\x07a \u202eb\u2028c  d\n")
        == "it failed: red  a  b c  d"
    )


def test_a_sentence_is_plain_on_a_terminal():
    text = f"**3 of 4** `a` {escape_markdown('my_run [x](y) *b* <i>')}\x1b[31m"
    assert plain_markdown(text) == "3 of 4 a my_run [x](y) *b* <i>"


def test_a_value_may_hold_an_equals_sign():
    assert split_parameters(["query=a=b", "k=5", "store="]) == {"query": "a=b", "k": "5", "store": ""}


def test_a_table_is_aligned_and_holds_no_control_characters(capsys):
    print_table([{"name": "a\x1b[31m\nb", "value": 0.123456789}, {"name": "c", "value": None}])
    assert capsys.readouterr().out == "name  value\na b   0.123457\nc\n"
    print_table([])
    assert capsys.readouterr().out == ""
