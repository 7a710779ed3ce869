"""Memory and time of the compared methods: counted without a GPU, measured on one, timed, and shown."""
