"""The page and the JSON API of an index, for a browser on this machine or, with a token, on another."""
