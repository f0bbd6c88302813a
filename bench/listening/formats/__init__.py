"""Files of ratings that other programs write, one module for each kind."""
