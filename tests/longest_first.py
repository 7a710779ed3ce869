"""The slowest test files, the slowest first: workers start with them, so that none is left for the end.

From `--junit-xml` of a whole run. A file that is not listed starts after these, files of few tests first.
"""

LONGEST_FIRST = (
    "test_documentation",
    "test_planning",
    "test_export",
    "test_page",
    "test_stores",
    "test_index_kills",
    "test_token_cache",
    "test_repeated_blocks",
    "test_processes",
    "test_stopping",
    "test_cli",
    "test_memory_modes",
    "test_signals",
    "test_search",
    "test_out_of_memory",
    "test_methods",
    "test_audio",
    "test_loop",
    "test_retrieval_task",
    "test_loader",
    "test_kills",
    "test_lost_process",
    "test_index_processes",
    "test_shared_commands",
    "test_recipes",
    "test_other_stores",
)
