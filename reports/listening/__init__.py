"""What is drawn and written of listening tests."""
