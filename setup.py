"""The wheel carries the files that `mmlab init` writes; all else of the build is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithFiles(build_py):
    """Copy `notebooks/` and `data/README.md` into the package, which finds them beside it in a checkout."""

    def run(self) -> None:
        """Build the package, then copy the files into it; an editable install uses those of the checkout."""
        super().run()
        for source, target in self._files().items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return the paths of all files built."""
        return [*super().get_outputs(include_bytecode), *self._files().values()]

    def _files(self) -> dict[str, str]:
        if self.editable_mode:
            return {}
        sources = [*map(str, sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))), "data/README.md"]
        return {source: str(Path(self.build_lib, "mmlab", "project", source)) for source in sources}


setup(cmdclass={"build_py": BuildWithFiles})
