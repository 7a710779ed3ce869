"""An offline demonstration on moving shapes that the package makes itself."""
