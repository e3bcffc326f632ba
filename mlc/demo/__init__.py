"""The web demo: a static page that runs a bundle in every runtime of a browser."""
