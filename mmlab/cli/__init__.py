"""The `mmlab` command: write the notebooks, look at a dataset, run them on it, ask, sweep, compare, study, report.

Exit codes: 0 all went well; 1 a notebook failed, or a check did not hold; 2 wrong arguments; 130 Ctrl-C.
"""

import logging
from collections.abc import Sequence

import click

# each adds its commands to the group
from mmlab.cli import finished_runs, maintenance, overview, run_commands  # noqa: F401
from mmlab.cli.group import cli, plain_text
from mmlab.items.files import NoProject, find_shortage

__all__ = ["cli", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; print every expected error as one line on stderr."""
    from mmlab.runs import DamagedManifest, NotebookFailed
    from mmlab.runs.record.run_files import RunInUse

    # kernels that Ctrl-C ended; a real failure is raised
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        cli.main(args=arguments, prog_name="mmlab", standalone_mode=False)
    except click.ClickException as error:
        return _print_error(error.format_message(), error.exit_code)
    except (NoProject, RunInUse) as error:
        return _print_error(str(error), 2)
    except (NotebookFailed, DamagedManifest) as error:
        return _print_error(str(error), 1)
    except (OSError, MemoryError, RuntimeError) as error:
        shortage = find_shortage(f"{type(error).__name__}: {error}")
        if not shortage and not isinstance(error, OSError):
            raise
        return _print_error(shortage or str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        return _print_error("stopped; what is finished stays", 130)
    return 0


def _print_error(message: str, code: int) -> int:
    click.echo(f"mmlab: error: {plain_text(message)}", err=True)
    return code
