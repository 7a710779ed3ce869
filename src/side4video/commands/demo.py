"""The command `demo`; its arguments are defined in the package `demo`."""

import tyro

from side4video.demo.arguments import DemoArguments, RetrievalDemoArguments


def demo(arguments: list[str]) -> int:
    """Run `side4video demo`; returns the exit code."""
    if arguments[:1] == ["retrieval"]:
        wanted = tyro.cli(RetrievalDemoArguments, prog="side4video demo retrieval", args=arguments[1:])
        from side4video.demo.retrieval import run_retrieval_demo

        return run_retrieval_demo(wanted)
    if arguments and not arguments[0].startswith("-"):
        raise ValueError(f"There is no demonstration {arguments[0]!r}. Use demo or demo retrieval.")
    given = tyro.cli(DemoArguments, prog="side4video demo", args=arguments)
    from side4video.demo.recognition import run_demo

    return run_demo(given)
