"""The `mmlab` command: run the notebooks on a dataset, sweep, compare, report, verify.

Exit codes: 0 all went well; 1 a notebook failed, or a check did not hold; 2 wrong arguments; 130 Ctrl-C.
"""

import logging
from collections.abc import Sequence

import click

from mmlab.cli import (  # noqa: F401 - each adds its commands to the group
    compare,
    keep,
    parameters,
    push,
    report,
    run,
    sweep,
)
from mmlab.cli.group import cli, plain_text

__all__ = ["cli", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every expected error is one line on stderr."""
    from mmlab.runs import DamagedManifest, NotebookFailed

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # kernels that Ctrl-C ended; what fails is raised
    try:
        cli.main(args=arguments, prog_name="mmlab", standalone_mode=False)
    except click.ClickException as error:
        return complain(error.format_message(), error.exit_code)
    except (NotebookFailed, DamagedManifest, OSError) as error:
        return complain(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        return complain("stopped; what is finished stays, and sweep --resume goes on from it", 130)
    return 0


def complain(message: str, code: int) -> int:
    """Print one error line and return the exit code."""
    click.echo(f"mmlab: error: {plain_text(message)}", err=True)
    return code
