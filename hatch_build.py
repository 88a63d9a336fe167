"""Compiles what is compiled: hatchling runs this when the project is installed or packed.

Without a C compiler the installation goes on, and says so: the product works, and takes usage in
more slowly (`billing/usage/scanning`).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "billing.usage.scanning.compiled"


class CompiledCode(BuildHookInterface):  # type: ignore[type-arg]
    """Cython's C, compiled into the source tree, where an editable installation finds it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, or warn. A packed wheel is of this machine then."""
        try:
            library = compiled(Path(self.root))
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"Nothing was compiled, so usage is taken in slowly: {error}")
            return
        if version != "editable":
            build_data["force_include"][str(library)] = str(library.relative_to(self.root))
            build_data["infer_tag"] = True
            build_data["pure_python"] = False


def compiled(root: Path) -> Path:
    """Compile the module beside its source; answers where it is."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), scratch], cwd=root, check=True
        )
        [library] = Path(scratch).glob("lib/**/compiled.*.so")
        return Path(shutil.copy2(library, root.joinpath(*MODULE.split(".")[:-1], library.name)))


def _compile(scratch: Path) -> None:
    """In a process of its own: setuptools reads its command line, and changes much as it goes."""
    from Cython.Build import cythonize
    from setuptools import Extension, setup

    source = f"{MODULE.replace('.', '/')}.pyx"
    extension = Extension(MODULE, [source], extra_compile_args=["-O3"])
    setup(
        name="compiled",
        packages=[],
        py_modules=[],
        ext_modules=cythonize([extension], build_dir=str(scratch / "c"), quiet=True),
        script_args=[
            "--quiet",
            "build_ext",
            f"--build-lib={scratch / 'lib'}",
            f"--build-temp={scratch / 'o'}",
        ],
    )


if __name__ == "__main__":
    _compile(Path(sys.argv[1]))
