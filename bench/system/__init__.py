"""Systems: the protocol, the cards, and how a name becomes a system."""
