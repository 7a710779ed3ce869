"""The command `demo`; its arguments are defined in the package `demo`."""

import tyro


def demo(arguments: list[str]) -> int:
    """Make videos of moving shapes, train on them, and write a report: demo [retrieval] [--out FOLDER]."""
    if arguments[:1] == ["retrieval"]:
        from side4video.demo.retrieval import RetrievalDemoArguments, run_retrieval_demo

        return run_retrieval_demo(
            tyro.cli(RetrievalDemoArguments, prog="side4video demo retrieval", args=arguments[1:])
        )
    if arguments and not arguments[0].startswith("-"):
        raise ValueError(f"There is no demonstration {arguments[0]!r}. Use demo or demo retrieval.")
    from side4video.demo.recognition import DemoArguments, run_demo

    return run_demo(tyro.cli(DemoArguments, prog="side4video demo", args=arguments))
