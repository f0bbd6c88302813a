"""Neural codecs run by their authors' packages, each in an environment of its own."""
