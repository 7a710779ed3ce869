"""Side4Video: a frozen image model learns video through a light spatial-temporal side network."""
