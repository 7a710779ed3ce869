"""Each public class has an example in its docstring, which shows how it is made. Doctest runs the examples."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "side4video"

HELP_TEXT = "its docstring is the help text of a command, which would print the example"
WITHOUT_EXAMPLE = {
    "checking/arguments.py: CheckDataArguments": HELP_TEXT,
    "demo/arguments.py: DemoArguments": HELP_TEXT,
    "demo/arguments.py: RetrievalDemoArguments": HELP_TEXT,
}
"""Classes that need none, with the reason."""

CLASSES = {
    f"{path.relative_to(SOURCE).as_posix()}: {node.name}": ast.get_docstring(node) or ""
    for path in sorted(SOURCE.rglob("*.py"))
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
}


def test_a_public_class_has_an_example():
    lacking = [name for name in CLASSES.keys() - WITHOUT_EXAMPLE.keys() if ">>> " not in CLASSES[name]]
    assert lacking == [], "add an example to the docstring"


def test_the_exceptions_exist_and_have_no_example():
    assert WITHOUT_EXAMPLE.keys() <= CLASSES.keys()
    assert not [name for name in WITHOUT_EXAMPLE if ">>> " in CLASSES[name]]
