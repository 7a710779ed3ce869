"""All settings of a run, checked when they are read. This room imports nothing slow, so help and errors are fast.

* absolute_paths.py: paths of stored settings.
* data.py: which videos and frames, and how training changes them.
* model.py: image model, side network, classifier, text tower; the paper's models.
* probe.py: a probe instead of a side network.
* recipe_figures.py: the figures of recipes, and tables of them.
* recipes.py: settings as YAML, and errors about invalid settings.
* run.py: all settings together, and checks of settings that exclude each other.
* settings.py: base class of all groups of settings.
* training.py: training and evaluation.
"""

from side4video.config.absolute_paths import NAMED_WEIGHTS, with_absolute_paths
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
    MAX_PROBLEMS,
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
    "NAMED_WEIGHTS",
    "MAX_PROBLEMS",
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
    "with_absolute_paths",
]
