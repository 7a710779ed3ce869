"""Checks an installed wheel without extras: PYTHON tools/check_wheel.py, with the Python of that environment.

Every module imports or names the extra that it needs, every command prints help, the smallest demonstration and
`predict` run, and commands whose extra is missing say so in one line.
"""

import contextlib
import importlib
import io
import pkgutil
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import requires
from pathlib import Path

EXTRAS = {"bitsandbytes", "fastapi", "lancedb", "onnx", "onnxruntime", "onnxscript", "opentimelineio", "pyarrow"}
EXTRAS |= {"qdrant_client", "starlette", "uvicorn"}
SMALLEST = ["--train-clips-per-class", "1", "--test-clips-per-class", "1", "--epochs", "1", "--out", "demo"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "side4video", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def check_modules() -> None:
    import side4video

    lacking: dict[str, str] = {}
    names = []
    for module in pkgutil.walk_packages(side4video.__path__, "side4video.", onerror=lambda _: None):
        names.append(module.name)
        try:
            if module.name != "side4video.__main__":
                importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            lacking[module.name] = (error.name or str(error)).split(".")[0]
    libraries = set(lacking.values())
    print(f"{len(names)} modules, {len(lacking)} of them need an extra: {', '.join(sorted(libraries))}")
    assert libraries <= EXTRAS, {name: library for name, library in lacking.items() if library not in EXTRAS}
    assert lacking, "an extra is installed: this environment is not the one of a plain pip install"


def check_help(folder: Path) -> None:
    from side4video.cli import COMMANDS

    with ThreadPoolExecutor(max_workers=2) as pool:
        for done in pool.map(lambda name: run(folder, *filter(None, [name]), "--help"), ("", *COMMANDS)):
            assert done.returncode == 0, f"{' '.join(done.args)}: {done.stderr}"
    print(f"help of {len(COMMANDS)} commands")


def check_missing_extra(extra: str, *arguments: str) -> None:
    """Run a command in this process, which has imported all modules already; its last line names the extra."""
    from side4video.cli import main

    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()):
        code = main(list(arguments))
    said = errors.getvalue()
    assert code == 2, (arguments, code, said)
    assert "Traceback" not in said, said
    assert f"side4video[{extra}]" in said.splitlines()[-1], said
    print(f"{arguments[0]}: {said.splitlines()[-1]}")


def main() -> None:
    check_modules()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(folder, "--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"--help: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.2f} s of CPU time")
        check_help(folder)
        started = time.monotonic()
        done = run(folder, "demo", *SMALLEST)
        assert done.returncode == 0, done.stderr
        clip = min((folder / "demo/videos/test").rglob("*.mp4"))
        done = run(folder, "predict", "demo/run", str(clip), "--top-k", "3", "--device", "cpu")
        assert done.returncode == 0, done.stderr
        print(f"demonstration and predict: {time.monotonic() - started:.0f} s")
        with contextlib.chdir(folder):
            again = ("train", "demo/run/config.yaml", "--out", "again", "--data.workers", "0")
            check_missing_extra("search", "index", str(clip), "--to", "index", "--model", "clip-b16")
            check_missing_extra(
                "qdrant", "index", str(clip), "--to", "qdrant://127.0.0.1:6333/clips", "--model", "clip-b16"
            )
            check_missing_extra("serve", "serve", "index")
            check_missing_extra("export", "export", "demo/run", "model.onnx")
            check_missing_extra("otio", "predict", "demo/run", str(clip), "--timeline", "--edit-list", "moments.otio")
            for tracker in ("tensorboard", "wandb", "mlflow"):
                check_missing_extra(tracker, *again, "--train.log", tracker)
            check_missing_extra("quantised", *again, "--backbone.quantise", "nf4")
    base = [name for name in requires("side4video") or [] if "extra ==" not in name]
    print(f"{len(base)} direct dependencies")


if __name__ == "__main__":
    main()
