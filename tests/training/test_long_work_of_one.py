"""One of two processes works for longer than the timeout while the other waits: the run goes on."""

import pytest

from separate_processes import SeparateProcesses

TIMEOUT_MINUTES = 0.05
SLOW_SECONDS = 6
SLOW = """
import sys, time
from side4video.cli import main
from side4video.distributed.processes import is_main_process, process_rank
{imports}

original, slept = {method}, []

def slow(*args, **options):
    if process_rank() == {rank} and not slept:
        slept.append(True)
        time.sleep({seconds})
    return original(*args, **options)

{method} = slow
sys.exit(main())
"""
CACHE = "from side4video.tasks.token_cache import TokenCache", "TokenCache._encode"
CHECKPOINT = "from side4video.training.training_state import TrainingState", "TrainingState.checkpoint"
BUILD = "import side4video.training.loop as loop", "loop.build_task"
SCORES = "import side4video.tasks.recognition.evaluate as evaluation", "evaluation.score_views"


@pytest.mark.parametrize(
    ("work", "rank"),
    [
        pytest.param(CACHE, 0, id="cache"),
        *(
            pytest.param(work, rank, marks=pytest.mark.slow, id=name)
            for name, work, rank in (("checkpoint", CHECKPOINT, 0), ("start", BUILD, 0), ("evaluation", SCORES, 1))
        ),
    ],
)
def test_the_others_wait_for_a_process_that_works(work, rank, warm, recipe, tmp_path):
    imports, method = work
    script = tmp_path / "slow.py"
    script.write_text(SLOW.format(imports=imports, method=method, rank=rank, seconds=SLOW_SECONDS))
    settings = recipe(
        data={"cache": tmp_path / "cache"}, train={"timeout_minutes": TIMEOUT_MINUTES, "checkpoint_minutes": 0}
    )
    command = ["train", settings, "--out", tmp_path / "run"]
    with SeparateProcesses(tmp_path, command, world=2, script=script, warm=warm) as run:
        run.finish()
