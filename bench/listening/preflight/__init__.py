"""What is looked at before anybody listens."""
