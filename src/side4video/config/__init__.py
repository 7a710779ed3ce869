"""Every setting of a run, checked when it is read. Nothing heavy is imported here: help and errors come at once.

* data.py: which videos and frames, and how training changes them.
* model.py: image model, side network, classifier, text tower; the paper's models.
* probe.py: a probe in place of a side network.
* recipe_figures.py: what recipes state about themselves, as a table.
* recipes.py: settings as YAML, and what is said of those that cannot be used.
* run.py: all of them, and what does not go together.
* settings.py: what all groups of settings have in common.
* training.py: training and evaluation.
"""

from side4video.config.data import AugmentConfig, DataConfig
from side4video.config.model import (
    CLIP_TOWERS,
    MODEL_PRESETS,
    VIDEO_PROMPTS,
    BackboneConfig,
    HeadConfig,
    SideConfig,
    TextConfig,
    check_towers,
)
from side4video.config.probe import PROBES, ProbeConfig, ProbeName
from side4video.config.recipes import (
    MOST_PROBLEMS,
    dump_config,
    load_config,
    parse_config,
    recipe_names,
    recipe_text,
)
from side4video.config.run import RunConfig
from side4video.config.settings import ConfigError, Settings
from side4video.config.training import EvalConfig, TrainConfig

__all__ = [
    "CLIP_TOWERS",
    "MODEL_PRESETS",
    "MOST_PROBLEMS",
    "PROBES",
    "VIDEO_PROMPTS",
    "AugmentConfig",
    "BackboneConfig",
    "ConfigError",
    "DataConfig",
    "EvalConfig",
    "HeadConfig",
    "ProbeConfig",
    "ProbeName",
    "RunConfig",
    "Settings",
    "SideConfig",
    "TextConfig",
    "TrainConfig",
    "check_towers",
    "dump_config",
    "load_config",
    "parse_config",
    "recipe_names",
    "recipe_text",
]
