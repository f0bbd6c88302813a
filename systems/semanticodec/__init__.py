"""SemantiCodec."""
