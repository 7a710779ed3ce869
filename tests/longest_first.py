"""The slowest test files, the slowest first: workers start with them, so that none is left for the end.

From `--junit-xml` of a whole run. A file that is not listed starts after these, files of few tests first.
"""

LONGEST_FIRST = (
    "test_documentation",
    "test_planning",
    "test_stopping",
    "test_processes",
    "test_stores",
    "test_export",
    "test_repeated_blocks",
    "test_cli",
    "test_recipes",
    "test_out_of_memory",
    "test_token_cache",
    "test_page",
    "test_memory_modes",
    "test_audio",
    "test_kills",
    "test_explanation",
    "test_search",
    "test_lost_process",
    "test_retrieval_task",
    "test_shared_commands",
    "test_other_system",
)
