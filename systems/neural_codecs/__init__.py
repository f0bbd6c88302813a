"""Neural audio codecs that the tables of papers compare with."""
