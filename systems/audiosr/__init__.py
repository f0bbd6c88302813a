"""AudioSR: any input to 48 kHz."""
